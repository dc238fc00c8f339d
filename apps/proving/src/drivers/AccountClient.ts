import { randomBytes } from "node:crypto"
import nacl from "tweetnacl"

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64")

/** What an app or a daemon does to log in. */
export const make = (seed: Uint8Array = randomBytes(32)) => {
  const keys = nacl.sign.keyPair.fromSeed(seed)
  const content = nacl.box.keyPair.fromSecretKey(seed)
  const challenge = (bytes: Uint8Array = randomBytes(32)) => ({
    publicKey: base64(keys.publicKey),
    challenge: base64(bytes),
    signature: base64(nacl.sign.detached(bytes, keys.secretKey))
  })
  const contentMessage = Buffer.concat([Buffer.from("Happy content key v1"), Buffer.from([0]), content.publicKey])
  return {
    publicKeyHex: Buffer.from(keys.publicKey).toString("hex"),
    contentPublicKey: content.publicKey,
    challenge,
    withContent: () => ({
      ...challenge(),
      contentPublicKey: base64(content.publicKey),
      contentPublicKeySig: base64(nacl.sign.detached(contentMessage, keys.secretKey))
    })
  }
}
