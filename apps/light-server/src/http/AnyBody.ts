/** Routes that ignore their body. */
import type { HttpRoutes } from "./HttpApp.ts"

/**
 * Ignores the body of a request in this scope: clients that send none set any content type, and a content type is no
 * reason to refuse them.
 */
export const ignore = (app: HttpRoutes): void => {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser("*", { parseAs: "string" }, (_request, _body, done) => done(null))
}
