/** Proof that a client holds the key of its account. */
import { Context, Effect, Layer, Option } from "effect"
import type { ReadFailed } from "../database/DatabaseReader.ts"
import { InvalidInput, TooManyRequests, Unauthorized } from "../Failure.ts"
import * as Ed25519 from "./Ed25519.ts"
import { SeenChallenges } from "./SeenChallenges.ts"

/** What a client sends, all in base64. */
export interface Credentials {
  readonly publicKey: string
  readonly challenge: string
  readonly signature: string
  readonly contentPublicKey?: string | undefined
  readonly contentPublicKeySig?: string | undefined
}

/** The key that the client has proven to hold. */
export interface ProvenKey {
  readonly publicKey: Uint8Array
  readonly content: { readonly publicKey: Uint8Array; readonly signature: Uint8Array } | undefined
}

/** A proof that the server accepts, and the epoch of the account's tokens when it came. */
export interface Proof extends ProvenKey {
  readonly epoch: number
}

export class Login extends Context.Tag("light-server/Login")<
  Login,
  {
    readonly prove: (
      credentials: Credentials
    ) => Effect.Effect<Proof, Unauthorized | InvalidInput | TooManyRequests | ReadFailed>
  }
>() {}

export interface Options {
  /** Signatures checked at once. */
  readonly concurrency?: number
  /** Logins that may wait for their check; one more fails with `TooManyRequests`. */
  readonly capacity?: number
}

const bytesOf = (base64: string): Uint8Array => Buffer.from(base64, "base64")

/** What the content key's signature covers in front of the key. */
const contentKeyPrefix = Buffer.from("Happy content key v1\0", "ascii")

const decodeContent = (credentials: Credentials): Effect.Effect<ProvenKey["content"], InvalidInput> => {
  const { contentPublicKey, contentPublicKeySig } = credentials
  if (contentPublicKey === undefined && contentPublicKeySig === undefined) return Effect.succeed(undefined)
  if (contentPublicKey === undefined || contentPublicKeySig === undefined) {
    return new InvalidInput({ error: "contentPublicKey and contentPublicKeySig go together" })
  }
  const content = { publicKey: bytesOf(contentPublicKey), signature: bytesOf(contentPublicKeySig) }
  return content.publicKey.length === 32
    ? Effect.succeed(content)
    : new InvalidInput({ error: "Invalid contentPublicKey" })
}

export const make = (options: Options = {}): Effect.Effect<Login["Type"], never, SeenChallenges> =>
  Effect.gen(function* () {
    const challenges = yield* SeenChallenges
    const capacity = options.capacity ?? 256
    const places = yield* Effect.makeSemaphore(options.concurrency ?? 4)
    let waiterCount = 0

    /** Counts the waiting logins, so that a storm of logins is refused instead of queued. */
    const inPlace = <A, E>(self: Effect.Effect<A, E>): Effect.Effect<A, E | TooManyRequests> =>
      Effect.suspend((): Effect.Effect<A, E | TooManyRequests> =>
        waiterCount >= capacity
          ? new TooManyRequests({ retryAfterMillis: 1000 })
          : Effect.acquireUseRelease(
              Effect.sync(() => waiterCount++),
              () => places.withPermits(1)(self),
              () => Effect.sync(() => waiterCount--)
            )
      )

    return Login.of({
      prove: (credentials) =>
        Effect.gen(function* () {
          const publicKey = bytesOf(credentials.publicKey)
          if (publicKey.length !== 32) return yield* new Unauthorized({ error: "Invalid public key" })
          const content = yield* decodeContent(credentials)
          const challenge = bytesOf(credentials.challenge)
          const signature = bytesOf(credentials.signature)
          const isProven = yield* inPlace(Ed25519.verify({ publicKey, message: challenge, signature }))
          if (!isProven) return yield* new Unauthorized({ error: "Invalid signature" })
          if (content !== undefined) {
            const message = Buffer.concat([contentKeyPrefix, content.publicKey])
            const isSigned = yield* inPlace(Ed25519.verify({ publicKey, message, signature: content.signature }))
            if (!isSigned) return yield* new InvalidInput({ error: "Invalid contentPublicKeySig" })
          }
          const epoch = yield* challenges.take(publicKey, challenge)
          if (Option.isNone(epoch)) return yield* new Unauthorized({ error: "Invalid signature" })
          return { publicKey, content, epoch: epoch.value }
        })
    })
  })

export const layer = (options: Options = {}): Layer.Layer<Login, never, SeenChallenges> =>
  Layer.effect(Login, make(options))
