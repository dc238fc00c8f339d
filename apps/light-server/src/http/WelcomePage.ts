/**
 * `GET /`. Clients look for the welcome text there; a browser gets a page that
 * says what this is, or is led to the status page.
 */
import type { FastifyInstance } from "fastify"
import type { IncomingMessage } from "node:http"

const welcome = "Welcome to Happier Server!"

/** Without styles and scripts: the policy of the server allows none inside of a page. */
const page = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>Happier light server</title>
  </head>
  <body>
    <main>
      <h1>${welcome}</h1>
      <p>This address works. It is made for the Happier app and for the command line tool, not for a browser: enter it
        there as the address of your server.</p>
      <p>The operator finds the status page below this address, at <a href="status">status</a>. Unless it was configured
        otherwise, it opens on the machine of the server only.</p>
    </main>
  </body>
</html>
`

/** Clients accept JSON, text or anything, and never name this type. */
const isBrowser = (accept = ""): boolean => accept.includes("text/html")

export const add = (fastify: FastifyInstance, leadsToStatus: (request: IncomingMessage) => boolean): void => {
  fastify.get("/", (request, reply) => {
    // Beside what the plugin for other origins has set.
    reply.header("vary", ["Accept", reply.getHeader("vary") ?? []].flat().join(", "))
    if (!isBrowser(request.headers.accept)) return reply.type("text/plain; charset=utf-8").send(welcome)
    reply.header("cache-control", "no-store")
    return leadsToStatus(request.raw) ? reply.redirect("status") : reply.type("text/html; charset=utf-8").send(page)
  })
}
