/** Artifacts over sockets. The names of the fields differ from those of the routes. */
import { Effect, Either, Layer, Schema } from "effect"
import type { Failure } from "../http/FailureTable.ts"
import { EventRegistry, type Refusal } from "../realtime/events/EventRegistry.ts"
import * as Artifact from "./Artifact.ts"
import { ArtifactRegistry, type Replaced } from "./ArtifactRegistry.ts"

const Id = Schema.Struct({ artifactId: Artifact.ArtifactId })

const NewArtifact = Schema.Struct({
  id: Artifact.ArtifactId,
  header: Schema.Uint8ArrayFromBase64,
  body: Schema.Uint8ArrayFromBase64,
  dataEncryptionKey: Schema.Uint8ArrayFromBase64
})

const Part = Schema.Struct({ data: Schema.Uint8ArrayFromBase64, expectedVersion: Schema.NonNegativeInt })

/** The answer names the part that does not fit, so the parts are decoded there. */
const Update = Schema.Struct({
  artifactId: Artifact.ArtifactId,
  header: Schema.optional(Schema.Unknown),
  body: Schema.optional(Schema.Unknown)
})

const failed = (message: string) => ({ result: "error", message })

const messages: { readonly [reason in Refusal]: string } = {
  invalid: "Invalid parameters",
  "too-large": "Invalid parameters",
  limited: "Too many events",
  failed: "Internal error"
}

const refusal = (reason: Refusal) => failed(messages[reason])

const decodePart = Schema.decodeUnknownEither(Part)

/** The change that an event asks for, or the error message to answer with. */
const changeOf = ({ body, header }: typeof Update.Type): Either.Either<Artifact.ArtifactChange, string> => {
  if (header === undefined && body === undefined) return Either.left("No updates provided")
  const part = (sent: unknown, name: string): Either.Either<Artifact.PartChange | undefined, string> =>
    sent === undefined ? Either.right(undefined) : Either.mapLeft(decodePart(sent), () => `Invalid ${name} parameters`)
  return Either.all({ header: part(header, "header"), body: part(body, "body") })
}

const ackOf = ({ body, header }: Artifact.ArtifactChange, replaced: Replaced) => {
  if (replaced._tag === "Replaced") {
    const part = ({ data, expectedVersion }: Artifact.PartChange) => ({
      version: expectedVersion + 1,
      data: Buffer.from(data).toString("base64")
    })
    return {
      result: "success",
      ...(header === undefined ? {} : { header: part(header) }),
      ...(body === undefined ? {} : { body: part(body) })
    }
  }
  const current = Artifact.view(replaced.artifact)
  return {
    result: "version-mismatch",
    ...(header === undefined ? {} : { header: { currentVersion: current.headerVersion, currentData: current.header } }),
    ...(body === undefined ? {} : { body: { currentVersion: current.bodyVersion, currentData: current.body } })
  }
}

/** Clients wait for the ack, and send the event again over the next transport. */
const kept = { withoutAck: "close", isRepeatable: () => true } as const

/** An ack for what is wrong with the event. All other failures are left to the caller. */
const acked = <A, E extends Failure>(effect: Effect.Effect<A, E>): Effect.Effect<unknown, Failure> =>
  Effect.catchAll(effect, (failure: Failure) => {
    if (failure._tag === "NotFound") return Effect.succeed(failed("Artifact not found"))
    return failure._tag === "Conflict" ? Effect.succeed(failed("Artifact already exists")) : Effect.fail(failure)
  })

export const layer: Layer.Layer<never, never, EventRegistry | ArtifactRegistry> = Layer.effectDiscard(
  Effect.gen(function* () {
    const events = yield* EventRegistry
    const artifacts = yield* ArtifactRegistry

    yield* events.on({
      event: "artifact-read",
      payload: Id,
      refusal,
      answer: ({ accountId }, { artifactId }) =>
        acked(
          Effect.map(artifacts.find(accountId, artifactId), (artifact) => ({
            result: "success",
            artifact: Artifact.viewWithoutKey(artifact)
          }))
        )
    })
    yield* events.on({
      event: "artifact-create",
      payload: NewArtifact,
      keep: kept,
      refusal,
      answer: ({ accountId }, sent) =>
        acked(
          Effect.map(artifacts.create(accountId, sent), (artifact) => ({
            result: "success",
            artifact: Artifact.viewWithoutKey(artifact)
          }))
        )
    })
    yield* events.on({
      event: "artifact-update",
      payload: Update,
      keep: kept,
      refusal,
      answer: ({ accountId }, sent) =>
        Either.match(changeOf(sent), {
          onLeft: (message): Effect.Effect<unknown, Failure> => Effect.succeed(failed(message)),
          onRight: (change) =>
            acked(
              Effect.map(artifacts.replace(accountId, sent.artifactId, change), (replaced) => ackOf(change, replaced))
            )
        })
    })
    yield* events.on({
      event: "artifact-delete",
      payload: Id,
      keep: kept,
      refusal,
      answer: ({ accountId }, { artifactId }) =>
        acked(Effect.as(artifacts.remove(accountId, artifactId), { result: "success" }))
    })
  })
)
