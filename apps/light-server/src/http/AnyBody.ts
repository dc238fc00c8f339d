/** Routes that ask nothing of their body. */
import type { HttpRoutes } from "./HttpApp.ts"

/**
 * Drops whatever body a request of this scope brings: clients that send none label it as they like, and a label is no
 * reason to refuse them.
 */
export const ignore = (app: HttpRoutes): void => {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser("*", { parseAs: "string" }, (_request, _body, done) => done(null))
}
