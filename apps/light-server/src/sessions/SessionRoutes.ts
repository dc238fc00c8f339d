/**
 * The routes of sessions.
 *
 * @since 0.1.0
 */
import { Effect, Layer, Schema } from "effect"
import { HttpApp } from "../http/HttpApp.ts"
import { Opening, type SessionView } from "./Session.ts"
import { SessionRegistry } from "./SessionRegistry.ts"

const Limit = (max: number, normal: number) =>
  Schema.optionalWith(Schema.NumberFromString.pipe(Schema.int(), Schema.between(1, max)), { default: () => normal })

const ActiveQuery = Schema.Struct({ limit: Limit(500, 150) })

const PageQuery = Schema.Struct({ cursor: Schema.optional(Schema.String), limit: Limit(200, 50) })

const SessionParams = Schema.Struct({ id: Schema.String })

/** Messages are not part of a list. */
const withoutMessages = (session: SessionView) => ({ ...session, lastMessage: null })

/** Nobody shares sessions here. */
const unshared = (session: SessionView) => ({ ...session, share: null })

/**
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never, never, HttpApp | SessionRegistry> = Layer.effectDiscard(
  Effect.gen(function* () {
    const http = yield* HttpApp
    const registry = yield* SessionRegistry
    yield* http.register((app) => {
      app.addHook("preHandler", http.authenticate)
      app.post("/v1/sessions", { schema: { body: Opening } }, (request, reply) =>
        http.answer(
          request,
          reply,
          Effect.map(registry.open(request.accountId, request.body), (session) => ({
            session: withoutMessages(session)
          }))
        )
      )
      app.get("/v1/sessions", (request, reply) =>
        http.answer(
          request,
          reply,
          Effect.map(registry.list(request.accountId), (sessions) => ({ sessions: sessions.map(withoutMessages) }))
        )
      )
      app.get("/v2/sessions/active", { schema: { querystring: ActiveQuery } }, (request, reply) =>
        http.answer(
          request,
          reply,
          Effect.map(registry.listActive(request.accountId, request.query.limit), (sessions) => ({ sessions }))
        )
      )
      app.get("/v2/sessions", { schema: { querystring: PageQuery } }, (request, reply) =>
        http.answer(
          request,
          reply,
          Effect.map(registry.page(request.accountId, request.query.cursor, request.query.limit), (page) => ({
            ...page,
            sessions: page.sessions.map(unshared)
          }))
        )
      )
      app.get("/v2/sessions/:id", { schema: { params: SessionParams } }, (request, reply) =>
        http.answer(
          request,
          reply,
          Effect.map(registry.find(request.accountId, request.params.id), (session) => ({ session: unshared(session) }))
        )
      )
    })
  })
)
