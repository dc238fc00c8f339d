/**
 * A server below a sub-path: some proxies pass the path on as it is, others
 * remove the part that is theirs. Both work.
 */
import type { IncomingMessage, Server } from "node:http"

/** `/happier` for `https://a.example/happier/`, and an empty text for an address without a path. */
export const of = (publicUrl: string | undefined): string =>
  publicUrl === undefined || !URL.canParse(publicUrl) ? "" : new URL(publicUrl).pathname.replace(/\/+$/, "")

/** The path without the base, unless it does not begin with it. */
export const without = (base: string, url: string): string => {
  if (base === "" || !url.startsWith(base)) return url
  const rest = url.slice(base.length)
  if (rest.startsWith("/")) return rest
  return rest === "" || rest.startsWith("?") ? `/${rest}` : url
}

/**
 * Removes the base from what never comes to Fastify: the requests and upgrades
 * of the socket server below `path`. Called when its listeners are there.
 */
export const strip = (server: Pick<Server, "prependListener">, base: string, path: string): void => {
  if (base === "") return
  const rewrite = (request: IncomingMessage) => {
    if (request.url?.startsWith(`${base}${path}`) === true) request.url = request.url.slice(base.length)
  }
  server.prependListener("request", rewrite)
  server.prependListener("upgrade", rewrite)
}
