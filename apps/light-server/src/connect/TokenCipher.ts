/**
 * Encryption of vendor tokens at rest, in the format of other happier light servers, so that a file can be handed over
 * in both directions.
 *
 * A key is derived from the master secret by walking a path of names with HMAC-SHA512. The account is part of the
 * path, so a token cannot be moved to another account. The stored bytes are: format 0, a nonce of 12 bytes, the
 * ciphertext of AES-256-GCM, a tag of 16 bytes.
 */
import { Effect, Option, Redacted } from "effect"
import { createCipheriv, createDecipheriv, createHmac, pbkdf2, randomBytes } from "node:crypto"

const algorithm = "aes-256-gcm"
const format = 0
const nonceBytes = 12
const tagBytes = 16
const overheadBytes = 1 + nonceBytes + tagBytes

const salt = "happy-server-tokens"
const rounds = 210_000

/** Takes about 0.2 s, in a thread of Node's own pool. */
const masterOf = (secret: Redacted.Redacted): Effect.Effect<Buffer> =>
  Effect.async((resume) => {
    pbkdf2(Redacted.value(secret), salt, rounds, 64, "sha512", (error, key) =>
      resume(error === null ? Effect.succeed(key) : Effect.die(error))
    )
  })

const hmac = (key: Buffer, element: string) =>
  createHmac("sha512", key)
    .update(Buffer.from([0]))
    .update(element, "utf8")
    .digest()

const keyOf = (master: Buffer, path: ReadonlyArray<string>): Buffer =>
  hmac(
    path.reduce((state, element) => hmac(state, element).subarray(32), master),
    "#aes256"
  ).subarray(0, 32)

export interface TokenCipher {
  readonly encrypt: (path: ReadonlyArray<string>, text: string) => Effect.Effect<Buffer>
  /** `None` for bytes that were encrypted with another secret or for another path, or are damaged. */
  readonly decrypt: (path: ReadonlyArray<string>, stored: Uint8Array) => Effect.Effect<Option.Option<string>>
}

/** The path of the token of an account at a vendor. */
export const pathOf = (accountId: string, vendor: string): ReadonlyArray<string> => [
  "user",
  accountId,
  "vendors",
  vendor,
  "token"
]

/** The master key is derived when it is first needed: most accounts have no vendor tokens. */
export const make = (secret: Redacted.Redacted): Effect.Effect<TokenCipher> =>
  Effect.map(Effect.cached(masterOf(secret)), (master) => ({
    encrypt: (path, text) =>
      Effect.map(master, (key) => {
        const nonce = randomBytes(nonceBytes)
        const cipher = createCipheriv(algorithm, keyOf(key, path), nonce)
        const body = Buffer.concat([cipher.update(text, "utf8"), cipher.final()])
        return Buffer.concat([Buffer.from([format]), nonce, body, cipher.getAuthTag()])
      }),
    decrypt: (path, stored) =>
      Effect.map(master, (key) => {
        if (stored.length < overheadBytes || stored[0] !== format) return Option.none()
        const bytes = Buffer.from(stored)
        const nonce = bytes.subarray(1, 1 + nonceBytes)
        const decipher = createDecipheriv(algorithm, keyOf(key, path), nonce, { authTagLength: tagBytes })
        decipher.setAuthTag(bytes.subarray(bytes.length - tagBytes))
        return Option.liftThrowable(() =>
          Buffer.concat([
            decipher.update(bytes.subarray(1 + nonceBytes, bytes.length - tagBytes)),
            decipher.final()
          ]).toString("utf8")
        )()
      })
  }))
