/** The page and its files, for the operator only. */
import { Effect, Layer } from "effect"
import type { FastifyReply, FastifyRequest } from "fastify"
import { cookieName, type Audience, type OperatorAccess } from "../door/OperatorAccess.ts"
import { RouteUnknown } from "../Failure.ts"
import * as Answer from "../http/Answer.ts"
import { HttpApp } from "../http/HttpApp.ts"

export interface Options {
  readonly access: OperatorAccess
  readonly audience: Audience
  /** Clients reach the server over TLS. */
  readonly isSecure: boolean
}

/** A browser asks its user for the password. */
const challenge = 'Basic realm="status of the light server", charset="UTF-8"'

/** For every path: the socket of the page is not below the page. */
const cookieOf = (value: string, { isSecure }: Options): string =>
  `${cookieName}=${value}; Path=/; HttpOnly; SameSite=Strict${isSecure ? "; Secure" : ""}`

const refuse = (request: FastifyRequest, reply: FastifyReply): void =>
  Answer.refuse(reply, new RouteUnknown({ path: request.url, method: request.method }), 0)

/** The files are loaded with the first request, not with the server. */
const assets = () => import("./StatusAssets.ts")

export const layer = (options: Options): Layer.Layer<never, never, HttpApp> =>
  Layer.effectDiscard(
    Effect.flatMap(HttpApp, (http) =>
      http.register((app) => {
        const { access, audience } = options
        // Also for the files: a stranger must not find out that there is a page.
        app.addHook("onRequest", async (request, reply) => {
          const decision = access.decide(request.raw, audience)
          if (decision === "granted") return
          if (decision === "hidden") refuse(request, reply)
          else reply.header("www-authenticate", challenge).code(401).send({ error: "The page needs the token" })
          return reply
        })
        const always = { config: { answersWhileDraining: true } }
        const send = async (request: FastifyRequest, reply: FastifyReply, name: string) => {
          const { names, page, read } = await assets()
          if (name !== page && !names.includes(name)) {
            refuse(request, reply)
            return reply
          }
          const { bytes, type } = await read(name)
          return reply.type(type).header("cache-control", "no-cache").send(bytes)
        }
        app.get("/status", always, async (request, reply) => {
          const cookie = access.cookieFor(request.raw)
          if (cookie !== undefined) reply.header("set-cookie", cookieOf(cookie, options))
          const { page } = await assets()
          return send(request, reply, page)
        })
        app.get("/status/:file", always, (request, reply) =>
          send(request, reply, (request.params as { readonly file: string }).file)
        )
      })
    )
  )
