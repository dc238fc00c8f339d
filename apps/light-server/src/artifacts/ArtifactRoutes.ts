/** `/v1/artifacts`. */
import { Effect, Layer, Schema } from "effect"
import { InvalidInput } from "../Failure.ts"
import { HttpApp } from "../http/HttpApp.ts"
import * as JsonBytes from "../http/JsonBytes.ts"
import * as TruncationHeader from "../http/TruncationHeader.ts"
import * as Artifact from "./Artifact.ts"
import { ArtifactRegistry, type Replaced } from "./ArtifactRegistry.ts"

const Params = Schema.Struct({ id: Schema.String })

const NewArtifact = Schema.Struct({
  id: Artifact.ArtifactId,
  header: Schema.String,
  body: Schema.String,
  dataEncryptionKey: Schema.String
})

const Change = Schema.Struct({
  header: Schema.optional(Schema.String),
  expectedHeaderVersion: Schema.optional(Schema.NonNegativeInt),
  body: Schema.optional(Schema.String),
  expectedBodyVersion: Schema.optional(Schema.NonNegativeInt)
})

/** Above the limit of other routes: an artifact is a document. */
const bodyLimit = 8 * 1024 * 1024

const invalid = new InvalidInput({ error: "Invalid parameters" })

const decodeBase64 = Schema.decodeEither(Schema.Uint8ArrayFromBase64)

const bytesOf = (text: string): Effect.Effect<Uint8Array, InvalidInput> =>
  Effect.mapError(decodeBase64(text), () => invalid)

const partOf = (text: string | undefined, expectedVersion: number | undefined) => {
  if (text === undefined && expectedVersion === undefined) return Effect.succeed(undefined)
  if (text === undefined || expectedVersion === undefined) return Effect.fail(invalid)
  return Effect.map(bytesOf(text), (data): Artifact.PartChange => ({ data, expectedVersion }))
}

const changeOf = (sent: typeof Change.Type): Effect.Effect<Artifact.ArtifactChange, InvalidInput> =>
  Effect.filterOrFail(
    Effect.all({
      header: partOf(sent.header, sent.expectedHeaderVersion),
      body: partOf(sent.body, sent.expectedBodyVersion)
    }),
    ({ body, header }) => header !== undefined || body !== undefined,
    () => invalid
  )

const answerOf = ({ body, header }: Artifact.ArtifactChange, replaced: Replaced) => {
  if (replaced._tag === "Replaced") {
    return {
      success: true,
      ...(header === undefined ? {} : { headerVersion: header.expectedVersion + 1 }),
      ...(body === undefined ? {} : { bodyVersion: body.expectedVersion + 1 })
    }
  }
  const current = Artifact.view(replaced.artifact)
  return {
    success: false,
    error: "version-mismatch",
    ...(header === undefined ? {} : { currentHeaderVersion: current.headerVersion, currentHeader: current.header }),
    ...(body === undefined ? {} : { currentBodyVersion: current.bodyVersion, currentBody: current.body })
  }
}

export const layer: Layer.Layer<never, never, HttpApp | ArtifactRegistry> = Layer.effectDiscard(
  Effect.gen(function* () {
    const http = yield* HttpApp
    const artifacts = yield* ArtifactRegistry

    const create = (accountId: string, { id, ...texts }: typeof NewArtifact.Type) =>
      Effect.gen(function* () {
        const header = yield* bytesOf(texts.header)
        const body = yield* bytesOf(texts.body)
        const dataEncryptionKey = yield* bytesOf(texts.dataEncryptionKey)
        return Artifact.view(yield* artifacts.create(accountId, { id, header, body, dataEncryptionKey }))
      })

    yield* http.register((app) => {
      app.addHook("onRequest", http.authenticate)
      app.get("/v1/artifacts", { config: { priority: "heavy" } }, (request, reply) =>
        http.answer(
          request,
          reply,
          Effect.map(artifacts.list(request.accountId), (list) => {
            TruncationHeader.mark(reply, list)
            return JsonBytes.of(reply, list.json)
          })
        )
      )
      app.get("/v1/artifacts/:id", { schema: { params: Params } }, (request, reply) =>
        http.answer(request, reply, Effect.map(artifacts.find(request.accountId, request.params.id), Artifact.view))
      )
      app.post("/v1/artifacts", { bodyLimit, schema: { body: NewArtifact } }, (request, reply) =>
        http.answer(request, reply, create(request.accountId, request.body))
      )
      app.post("/v1/artifacts/:id", { bodyLimit, schema: { params: Params, body: Change } }, (request, reply) =>
        http.answer(
          request,
          reply,
          Effect.flatMap(changeOf(request.body), (change) =>
            Effect.map(artifacts.replace(request.accountId, request.params.id, change), (replaced) =>
              answerOf(change, replaced)
            )
          )
        )
      )
      app.delete("/v1/artifacts/:id", { schema: { params: Params } }, (request, reply) =>
        http.answer(
          request,
          reply,
          Effect.as(artifacts.remove(request.accountId, request.params.id), { success: true })
        )
      )
    })
  })
)
