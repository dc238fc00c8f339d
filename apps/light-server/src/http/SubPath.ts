/** A server below a path: reverse proxies that pass the path of the public URL through are answered as well. */
import type { IncomingMessage, Server } from "node:http"

/** The path of a public URL without the slash at its end, or an empty text. */
export const of = (publicUrl: string | undefined): string =>
  publicUrl === undefined ? "" : new URL(publicUrl).pathname.replace(/\/+$/, "")

/** The same target without the path in front of it. A name that only begins alike, `/happiest`, is left alone. */
export const strip = (subPath: string, target: string): string => {
  if (!target.startsWith(subPath)) return target
  const rest = target.slice(subPath.length)
  if (rest.startsWith("/")) return rest
  return rest === "" || rest.startsWith("?") ? `/${rest}` : target
}

/**
 * Serves requests and upgrades below the path as if they came to the root, which
 * is served too: some proxies take the path away. Everything that answers
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
