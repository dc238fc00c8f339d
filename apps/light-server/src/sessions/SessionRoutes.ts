/** The routes of sessions. */
import { Array as Arr, Effect, Layer, Schema } from "effect"
import { InvalidInput } from "../Failure.ts"
import * as TruncationHeader from "../http/TruncationHeader.ts"
import { HttpApp } from "../http/HttpApp.ts"
import * as JsonBytes from "../http/JsonBytes.ts"
import * as Query from "../http/Query.ts"
import { SessionLists } from "./SessionLists.ts"
import { Opening, type SessionView } from "./Session.ts"
import { type Replaced, SessionRegistry } from "./SessionRegistry.ts"
import type { TextChange } from "./SessionStore.ts"

const ActiveQuery = Schema.Struct({ limit: Query.limit(500, 150) })

/** Of a list with a cursor. */
const PageQuery = Schema.Struct({ cursor: Schema.optional(Schema.String), limit: Query.limit(200, 50) })

const patchable = ["metadata", "agentState"] as const

const SessionParams = Schema.Struct({ id: Schema.String })

const Version = Schema.NonNegativeInt

const Patch = Schema.Struct({
  metadata: Schema.optional(Schema.Struct({ ciphertext: Schema.String, expectedVersion: Version })),
  agentState: Schema.optional(Schema.Struct({ ciphertext: Schema.NullOr(Schema.String), expectedVersion: Version }))
})

/** The texts that a patch replaces, at least one. */
const changesOf = (patch: typeof Patch.Type): Effect.Effect<Arr.NonEmptyReadonlyArray<TextChange>, InvalidInput> => {
  const changes = patchable.flatMap((text) => {
    const change = patch[text]
    return change === undefined ? [] : [{ text, value: change.ciphertext, expectedVersion: change.expectedVersion }]
  })
  return Arr.isNonEmptyReadonlyArray(changes)
    ? Effect.succeed(changes)
    : Effect.fail(new InvalidInput({ error: "Invalid parameters" }))
}

const patched = ({ _tag, texts }: Replaced) =>
  _tag === "Replaced"
    ? { success: true, ...Object.fromEntries(texts.map(({ text, version }) => [text, { version }])) }
    : {
        success: false,
        error: "version-mismatch",
        ...Object.fromEntries(texts.map(({ text, version, value }) => [text, { version, value }]))
      }

/** Lists carry no messages. */
const withoutMessages = (session: SessionView) => ({ ...session, lastMessage: null })

/** Sessions cannot be shared. */
const unshared = (session: SessionView) => ({ ...session, share: null })

export const layer: Layer.Layer<never, never, HttpApp | SessionRegistry | SessionLists> = Layer.effectDiscard(
  Effect.gen(function* () {
    const http = yield* HttpApp
    const registry = yield* SessionRegistry
    const lists = yield* SessionLists
    yield* http.register((app) => {
      app.addHook("onRequest", http.authenticate)
      app.post("/v1/sessions", { config: { priority: "control" }, schema: { body: Opening } }, (request, reply) =>
        http.answer(
          request,
          reply,
          Effect.map(registry.open(request.accountId, request.body), (session) => ({
            session: withoutMessages(session)
          }))
        )
      )
      app.get("/v1/sessions", { config: { priority: "heavy" } }, (request, reply) =>
        http.answer(
          request,
          reply,
          Effect.map(lists.list(request.accountId), (list) => {
            TruncationHeader.mark(reply, list)
            return JsonBytes.of(reply, list.json)
          })
        )
      )
      app.get(
        "/v2/sessions/active",
        { config: { priority: "heavy" }, schema: { querystring: ActiveQuery } },
        (request, reply) =>
          http.answer(
            request,
            reply,
            Effect.map(lists.listActive(request.accountId, request.query.limit), (list) => {
              TruncationHeader.mark(reply, list)
              return JsonBytes.of(reply, list.json)
            })
          )
      )
      for (const [url, read] of [
        ["/v2/sessions", lists.page],
        ["/v2/sessions/archived", lists.pageArchived]
      ] as const) {
        app.get(url, { config: { priority: "heavy" }, schema: { querystring: PageQuery } }, (request, reply) =>
          http.answer(
            request,
            reply,
            Effect.map(read(request.accountId, request.query.cursor, request.query.limit), (page) =>
              JsonBytes.of(reply, page)
            )
          )
        )
      }
      app.get("/v2/sessions/:id", { schema: { params: SessionParams } }, (request, reply) =>
        http.answer(
          request,
          reply,
          Effect.map(registry.find(request.accountId, request.params.id), (session) => ({ session: unshared(session) }))
        )
      )
      app.patch("/v2/sessions/:id", { schema: { params: SessionParams, body: Patch } }, (request, reply) =>
        http.answer(
          request,
          reply,
          changesOf(request.body).pipe(
            Effect.flatMap((changes) =>
              registry.replace({ accountId: request.accountId, id: request.params.id, changes })
            ),
            Effect.map(patched)
          )
        )
      )
      app.delete("/v1/sessions/:id", { schema: { params: SessionParams } }, (request, reply) =>
        http.answer(request, reply, Effect.as(registry.remove(request.accountId, request.params.id), { success: true }))
      )
    })
  })
)
