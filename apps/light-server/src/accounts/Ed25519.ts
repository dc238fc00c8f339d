/** Ed25519 by the engine that Node brings, off the main thread. */
import { Effect } from "effect"
import { createPrivateKey, createPublicKey, type KeyObject, verify as verifySignature } from "node:crypto"

/** The fixed head of a raw key of 32 bytes in DER, RFC 8410. */
const spkiHead = Buffer.from("302a300506032b6570032100", "hex")
const pkcs8Head = Buffer.from("302e020100300506032b657004220420", "hex")

/** The private key that a seed of 32 bytes makes. */
export const privateKeyOf = (seed: Uint8Array): KeyObject =>
  createPrivateKey({ key: Buffer.concat([pkcs8Head, seed]), format: "der", type: "pkcs8" })

/**
 * Whether `signature` is one of `message` by `publicKey`. Wrong lengths return
 * `false`.
 *
 * Stricter than the JavaScript library that clients sign with: a signature
 * whose scalar is not reduced is rejected, so that one message has one
 * signature.
 */
export const verify = (options: {
  readonly publicKey: Uint8Array
  readonly message: Uint8Array
  readonly signature: Uint8Array
}): Effect.Effect<boolean> =>
  options.publicKey.length !== 32 || options.signature.length !== 64
    ? Effect.succeed(false)
    : Effect.async<boolean>((resume) => {
        const key = createPublicKey({ key: Buffer.concat([spkiHead, options.publicKey]), format: "der", type: "spki" })
        verifySignature(null, options.message, key, options.signature, (error, isValid) =>
          resume(Effect.succeed(error === null && isValid))
        )
      })
