/**
 * Features that this server does not have, answered so that clients show no error: an empty list where they show a
 * list, and a refusal that they handle otherwise.
 */
import { Effect, Layer, Option, Schema } from "effect"
import { DatabaseReader } from "../database/DatabaseReader.ts"
import { base64OrNull, StoredBytesOrNull } from "../database/StoredValue.ts"
import { InvalidInput, NotFound } from "../Failure.ts"
import * as AnyBody from "../http/AnyBody.ts"
import { HttpApp } from "../http/HttpApp.ts"
import * as Query from "../http/Query.ts"

const Place = Schema.String.pipe(Schema.pattern(/^0-\d+$/))

const FeedQuery = Schema.Struct({
  before: Schema.optional(Place),
  after: Schema.optional(Place),
  limit: Query.limit(200, 50)
})

const Search = Schema.Struct({ query: Schema.String })

const Friend = Schema.Struct({ uid: Schema.String })

const unknownUser = new NotFound({ what: "User" })

const User = Schema.Struct({
  id: Schema.String,
  firstName: Schema.NullOr(Schema.String),
  lastName: Schema.NullOr(Schema.String),
  username: Schema.NullOr(Schema.String),
  publicKey: Schema.String,
  contentPublicKey: StoredBytesOrNull,
  contentPublicKeySig: StoredBytesOrNull
})

const selectUser = `SELECT "id", "firstName", "lastName", "username", "publicKey", "contentPublicKey",
  "contentPublicKeySig" FROM "Account" WHERE "id" = ?`

/** Clients drop a whole list when one of the two names is null. */
const view = (user: typeof User.Type) => ({
  ...user,
  firstName: user.firstName ?? "",
  username: user.username ?? "",
  avatar: null,
  bio: null,
  status: "none",
  contentPublicKey: base64OrNull(user.contentPublicKey),
  contentPublicKeySig: base64OrNull(user.contentPublicKeySig)
})

export const layer: Layer.Layer<never, never, HttpApp | DatabaseReader> = Layer.effectDiscard(
  Effect.gen(function* () {
    const http = yield* HttpApp
    const reader = yield* DatabaseReader
    /** An account finds itself. To other accounts it is unknown. */
    const findUser = (accountId: string, id: string) =>
      id === accountId
        ? Effect.flatMap(
            reader.first(User, selectUser, [id]),
            Option.match({
              onNone: () => Effect.fail(unknownUser),
              onSome: (user) => Effect.succeed({ user: view(user) })
            })
          )
        : Effect.fail(unknownUser)
    yield* http.register((app) => {
      app.addHook("onRequest", http.authenticate)
      app.get("/v1/feed", { schema: { querystring: FeedQuery } }, (request, reply) =>
        http.answer(request, reply, Effect.succeed({ items: [], hasMore: false }))
      )
      app.get("/v1/friends", (request, reply) => http.answer(request, reply, Effect.succeed({ friends: [] })))
      app.get("/v1/user/search", { schema: { querystring: Search } }, (request, reply) =>
        http.answer(request, reply, Effect.succeed({ users: [] }))
      )
      app.get("/v1/user/:id", { schema: { params: Schema.Struct({ id: Schema.String }) } }, (request, reply) =>
        http.answer(request, reply, findUser(request.accountId, request.params.id))
      )
      for (const url of ["/v1/friends/add", "/v1/friends/remove"]) {
        app.post(url, { schema: { body: Friend } }, (request, reply) =>
          http.answer(request, reply, Effect.fail(unknownUser))
        )
      }
    })
    yield* http.register((app) => {
      app.addHook("onRequest", http.authenticate)
      AnyBody.ignore(app)
      // Clients then use an agent of their own.
      app.post("/v1/voice/token", (request, reply) =>
        http.answer(request, reply, Effect.fail(new InvalidInput({ error: "Voice is not configured on this server" })))
      )
    })
  })
)
