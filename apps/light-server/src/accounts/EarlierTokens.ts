/**
 * Tokens that another happier light server issued from the same master secret. They are verified and never issued:
 * published clients keep their token for good and do not log in again by themselves, so without this every client of an
 * adopted database would be logged out.
 */
import { Effect, Redacted } from "effect"
import { decodeJwt, jwtVerify } from "jose"
import { createPublicKey, type KeyObject, pbkdf2 } from "node:crypto"
import { invalidToken, type Unauthorized } from "../Failure.ts"
import * as Ed25519 from "./Ed25519.ts"

const issuer = "handy"
const salt = "handy Persistent Token"
const rounds = 210_000

/** Takes about 0.2 s, in a thread of Node's own pool. */
const publicKeyOf = (masterSecret: Redacted.Redacted): Effect.Effect<KeyObject> =>
  Effect.async((resume) => {
    pbkdf2(Redacted.value(masterSecret), salt, rounds, 64, "sha512", (error, bytes) =>
      resume(
        error === null
          ? Effect.sync(() => createPublicKey(Ed25519.privateKeyOf(bytes.subarray(0, 32))))
          : Effect.die(error)
      )
    )
  })

export interface EarlierTokens {
  /** Whether a token names the other server as its issuer. Nothing is verified. */
  readonly isOne: (token: string) => boolean
  /** The account that a token speaks for, by its signature. */
  readonly verify: (token: string, nowMillis: number) => Effect.Effect<string, Unauthorized>
}

const isOne = (token: string): boolean => {
  try {
    return decodeJwt(token).iss === issuer
  } catch {
    return false
  }
}

/** The key is derived when the first such token arrives: most servers never see one. */
export const make = (masterSecret: Redacted.Redacted, clockToleranceSeconds: number): Effect.Effect<EarlierTokens> =>
  Effect.map(Effect.cached(publicKeyOf(masterSecret)), (publicKey) => ({
    isOne,
    verify: (token, nowMillis) =>
      Effect.gen(function* () {
        const key = yield* publicKey
        const { payload } = yield* Effect.tryPromise({
          try: () =>
            jwtVerify(token, key, {
              algorithms: ["EdDSA"],
              issuer,
              clockTolerance: clockToleranceSeconds,
              currentDate: new Date(nowMillis),
              requiredClaims: ["sub"]
            }),
          catch: () => invalidToken
        })
        return payload.sub ?? (yield* invalidToken)
      })
  }))
