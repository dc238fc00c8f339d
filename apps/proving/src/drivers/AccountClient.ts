import { createPrivateKey, createPublicKey, randomBytes, sign } from "node:crypto"
import nacl from "tweetnacl"

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64")

/** What stands before the 32 bytes of a private Ed25519 key in PKCS #8. */
const prefix = Buffer.from("302e020100300506032b657004220420", "hex")

/**
 * What an app or a daemon does to log in. They sign with tweetnacl; a signature has the same bytes in each library,
 * and OpenSSL makes it in a hundredth of the time.
 */
export const make = (seed: Uint8Array = randomBytes(32)) => {
  const key = createPrivateKey({ key: Buffer.concat([prefix, seed]), format: "der", type: "pkcs8" })
  const publicKey = Buffer.from(createPublicKey(key).export({ format: "jwk" }).x ?? "", "base64url")
  const contentPublicKey = () => nacl.box.keyPair.fromSecretKey(seed).publicKey
  const challenge = (bytes: Uint8Array = randomBytes(32)) => ({
    publicKey: base64(publicKey),
    challenge: base64(bytes),
    signature: base64(sign(null, bytes, key))
  })
  return {
    publicKeyHex: publicKey.toString("hex"),
    contentPublicKey,
    challenge,
    withContent: () => {
      const content = contentPublicKey()
      const message = Buffer.concat([Buffer.from("Happy content key v1"), Buffer.from([0]), content])
      return {
        ...challenge(),
        contentPublicKey: base64(content),
        contentPublicKeySig: base64(sign(null, message, key))
      }
    }
  }
}
