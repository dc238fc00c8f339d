/**
 * Pairing: a client without an account shows a public key, and a logged-in client answers it.
 *
 * A client asks once per second whether there is an answer. Asking is a read;
 * only the first question about a key, and the answer, are writes.
 */
import { Clock, Context, Effect, Layer, Option, Schedule } from "effect"
import type { WriterError } from "presence-effect/writer/WriterError"
import type { ReadFailed } from "../database/DatabaseReader.ts"
import { NotFound, Unauthorized } from "../Failure.ts"
import { type PairingAnswer, type PairingKind, PairingStore } from "./PairingStore.ts"
import { Runner } from "../replicas/SoleRunner.ts"
import { Tokens } from "./Tokens.ts"

/** The status that the asking client receives. */
export type PairingState =
  | { readonly state: "requested" }
  | { readonly state: "authorized"; readonly token: string; readonly response: string }

/** The status of a key, readable without a token. */
export interface PairingStatus {
  readonly status: "not_found" | "pending" | "authorized"
  readonly supportsV2: boolean
}

/** Keys arrive as base64 of 32 bytes (X25519). */
export class Pairing extends Context.Tag("light-server/Pairing")<
  Pairing,
  {
    /** Asks. The first time this makes a request, every other time it only reads. */
    readonly request: (
      kind: PairingKind,
      publicKey: string,
      supportsV2: boolean
    ) => Effect.Effect<PairingState, Unauthorized | WriterError | ReadFailed>
    readonly status: (kind: PairingKind, publicKey: string) => Effect.Effect<PairingStatus, ReadFailed>
    /** The first answer is kept. The same account may repeat it; for any other account the request no longer exists. */
    readonly answer: (
      kind: PairingKind,
      publicKey: string,
      answer: PairingAnswer
    ) => Effect.Effect<void, Unauthorized | NotFound | WriterError | ReadFailed>
  }
>() {}

const unknownKey: PairingStatus = { status: "not_found", supportsV2: false }

const kinds: ReadonlyArray<PairingKind> = ["terminal", "account"]

/** The hex text of a key. Non-canonical base64 is rejected, so that one key is one request. */
const hexOf = (publicKey: string): Option.Option<string> => {
  const bytes = Buffer.from(publicKey, "base64")
  return bytes.length === 32 && bytes.toString("base64") === publicKey
    ? Option.some(bytes.toString("hex"))
    : Option.none()
}

const demandHex = (publicKey: string) =>
  Effect.mapError(hexOf(publicKey), () => new Unauthorized({ error: "Invalid public key" }))

export const make: Effect.Effect<Pairing["Type"], never, PairingStore | Tokens> = Effect.gen(function* () {
  const store = yield* PairingStore
  const tokens = yield* Tokens

  const requestOf = (kind: PairingKind, key: string) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => store.find(kind, key, now))

  const judgeLate = (kind: PairingKind, key: string, accountId: string) =>
    Effect.gen(function* () {
      const known = yield* requestOf(kind, key)
      const isOwn = Option.isSome(known) && known.value.responseAccountId === accountId
      if (!isOwn) return yield* new NotFound({ what: "Request" })
    })

  return Pairing.of({
    request: (kind, publicKey, supportsV2) =>
      Effect.gen(function* () {
        const key = yield* demandHex(publicKey)
        const known = yield* requestOf(kind, key)
        if (Option.isNone(known)) {
          yield* store.insert(kind, key, supportsV2, yield* Clock.currentTimeMillis)
          return { state: "requested" } as const
        }
        const { response, responseAccountId } = known.value
        if (response === null || responseAccountId === null) return { state: "requested" } as const
        return { state: "authorized", token: yield* tokens.issue(responseAccountId), response } as const
      }),
    status: (kind, publicKey) =>
      Effect.gen(function* () {
        const key = hexOf(publicKey)
        if (Option.isNone(key)) return unknownKey
        const known = yield* requestOf(kind, key.value)
        if (Option.isNone(known)) return unknownKey
        const { response, supportsV2 } = known.value
        return { status: response === null ? "pending" : "authorized", supportsV2 } as const
      }),
    answer: (kind, publicKey, answer) =>
      Effect.gen(function* () {
        const key = yield* demandHex(publicKey)
        const known = yield* requestOf(kind, key)
        if (Option.isNone(known) || known.value.response !== null) {
          return yield* judgeLate(kind, key, answer.accountId)
        }
        yield* (
          store
            .answer(kind, key, answer, yield* Clock.currentTimeMillis)
            // Another account answered first, or the request expired meanwhile.
            .pipe(Effect.catchTag("WriteConflict", () => judgeLate(kind, key, answer.accountId)))
        )
      })
  })
})

/** Rows that cannot be removed now are found again by the next round. */
const prune = Effect.gen(function* () {
  const store = yield* PairingStore
  const runner = yield* Runner
  const now = yield* Clock.currentTimeMillis
  yield* runner.attempt(
    "prune-pairing",
    Effect.forEach(kinds, (kind) => store.prune(kind, now), { discard: true })
  )
}).pipe(
  Effect.catchAllCause((cause) =>
    Effect.logWarning("Old pairing requests were not removed", cause).pipe(
      Effect.annotateLogs("code", "PAIRING_NOT_PRUNED")
    )
  )
)

/** Pairing, and once a minute the removal of expired requests. */
export const layer: Layer.Layer<Pairing, never, PairingStore | Tokens> = Layer.effect(Pairing, make).pipe(
  Layer.merge(Layer.scopedDiscard(Effect.forkScoped(Effect.schedule(prune, Schedule.spaced("1 minute")))))
)
