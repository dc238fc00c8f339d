/** `/v1/kv`: small encrypted values of an account under plain keys. */
import { Effect, Layer, Option, Schema } from "effect"
import * as BoundedList from "../database/BoundedList.ts"
import { InvalidInput, NotFound } from "../Failure.ts"
import { HttpApp } from "../http/HttpApp.ts"
import * as JsonBytes from "../http/JsonBytes.ts"
import * as Query from "../http/Query.ts"
import * as TruncationHeader from "../http/TruncationHeader.ts"
import * as KeyValue from "./KeyValue.ts"
import { KeyValues, type Mutated } from "./KeyValues.ts"
import { KeyValueStore } from "./KeyValueStore.ts"

const Params = Schema.Struct({ key: Schema.String })

const ListQuery = Schema.Struct({
  prefix: Schema.optionalWith(Schema.String, { default: () => "" }),
  limit: Query.limit(1000, 100)
})

const batch = <A, I>(item: Schema.Schema<A, I>) => Schema.Array(item).pipe(Schema.minItems(1), Schema.maxItems(100))

const Bulk = Schema.Struct({ keys: batch(Schema.String) })

const Mutations = Schema.Struct({
  mutations: batch(Schema.Struct({ key: Schema.String, value: Schema.NullOr(Schema.String), version: Schema.Number }))
})

/** Above the limit of other routes: a batch holds up to 100 values. */
const bodyLimit = 8 * 1024 * 1024

const invalid = new InvalidInput({ error: "Invalid parameters" })

const isKey = Schema.is(KeyValue.Key)

const decodeBase64 = Schema.decodeEither(Schema.Uint8ArrayFromBase64)

const missing = new NotFound({ what: "Key" })

/** An empty value is refused, because other servers of the file read it as deleted. */
const valueOf = (text: string | null) => {
  if (text === null) return Effect.succeed(null)
  return text === "" ? Effect.fail(invalid) : Effect.mapError(decodeBase64(text), () => invalid)
}

const mutationsOf = ({
  mutations
}: typeof Mutations.Type): Effect.Effect<ReadonlyArray<KeyValue.Mutation>, InvalidInput> => {
  const keys = new Set(mutations.map(({ key }) => key))
  if (keys.size < mutations.length || !mutations.every(({ key }) => isKey(key))) return Effect.fail(invalid)
  return Effect.forEach(mutations, ({ key, value, version }) =>
    // No stored version is a fraction or below -1: such a mutation conflicts, and is bound as a version that is never
    // stored.
    Effect.map(valueOf(value), (bytes) => ({
      key,
      value: bytes,
      version: Number.isSafeInteger(version) && version >= KeyValue.never ? version : Number.MAX_SAFE_INTEGER - 1
    }))
  )
}

const bodyOf = (mutated: Mutated) =>
  mutated._tag === "Mutated"
    ? { success: true, results: mutated.results }
    : {
        success: false,
        errors: mutated.current.map((row) => ({ ...KeyValue.view(row), error: "version-mismatch" }))
      }

export const layer: Layer.Layer<never, never, HttpApp | KeyValueStore | KeyValues> = Layer.effectDiscard(
  Effect.gen(function* () {
    const http = yield* HttpApp
    const store = yield* KeyValueStore
    const keyValues = yield* KeyValues

    const find = (accountId: string, key: string) =>
      Effect.flatMap(store.find(accountId, key), (found) =>
        Option.isSome(found) && found.value.value !== null
          ? Effect.succeed(KeyValue.view(found.value))
          : Effect.fail(missing)
      )

    yield* http.register((app) => {
      app.addHook("onRequest", http.authenticate)
      app.get("/v1/kv/:key", { schema: { params: Params } }, (request, reply) =>
        http.answer(request, reply, find(request.accountId, request.params.key))
      )
      app.get("/v1/kv", { schema: { querystring: ListQuery } }, (request, reply) =>
        http.answer(
          request,
          reply,
          Effect.map(store.list(request.accountId, request.query.prefix, request.query.limit), (list) => {
            TruncationHeader.mark(reply, list)
            return JsonBytes.of(reply, BoundedList.toJson('{"items":[', list.rows, "]}"))
          })
        )
      )
      // A list of keys has a body, and changes nothing.
      app.post("/v1/kv/bulk", { config: { limitedAs: "reads" }, schema: { body: Bulk } }, (request, reply) =>
        http.answer(
          request,
          reply,
          Effect.map(store.pick(request.accountId, request.body.keys), (rows) => ({
            values: rows.filter(({ value }) => value !== null).map(KeyValue.view)
          }))
        )
      )
      app.post("/v1/kv", { bodyLimit, schema: { body: Mutations } }, (request, reply) =>
        http.answer(
          request,
          reply,
          Effect.gen(function* () {
            const mutated = yield* keyValues.mutate(request.accountId, yield* mutationsOf(request.body))
            if (mutated._tag === "VersionMismatch") reply.code(409)
            return bodyOf(mutated)
          })
        )
      )
    })
  })
)
