/** A server below a path: reverse proxies that pass the path of the public URL through are answered as well. */
import type { IncomingMessage, Server } from "node:http"

/** The path of a public URL without the slash at its end, or an empty text. */
export const of = (publicUrl: string | undefined): string =>
  publicUrl === undefined ? "" : new URL(publicUrl).pathname.replace(/\/+$/, "")

/** The same target without the path in front of it. A path that only begins alike, `/happiest`, stays as it is. */
export const strip = (subPath: string, target: string): string => {
  if (!target.startsWith(subPath)) return target
  const rest = target.slice(subPath.length)
  if (rest.startsWith("/")) return rest
  return rest === "" || rest.startsWith("?") ? `/${rest}` : target
}

/**
 * Serves requests and upgrades below the path as if they were sent to the root.
 * The root is served too: some proxies strip the path. Everything that answers
 * requests must have been added to the server before.
 */
export const serve = (server: Server, subPath: string): void => {
  if (subPath === "") return
  const shorten = (request: IncomingMessage) => {
    request.url = strip(subPath, request.url ?? "/")
  }
  server.prependListener("request", shorten)
  server.prependListener("upgrade", shorten)
}
