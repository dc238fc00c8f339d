import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck as fc } from "effect"
import nacl from "tweetnacl"
import * as Ed25519 from "../../src/accounts/Ed25519.ts"

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })

/** Order of the group, little endian: adding it to the scalar gives a second signature of the same message. */
const order = Buffer.from("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010", "hex")

const withOrderAdded = (signature: Uint8Array) => {
  const malleated = Uint8Array.from(signature)
  let carry = 0
  for (let index = 0; index < 32; index++) {
    const sum = (signature[32 + index] ?? 0) + (order[index] ?? 0) + carry
    malleated[32 + index] = sum & 0xff
    carry = sum >> 8
  }
  return malleated
}

const flip = (source: Uint8Array, bit: number) => {
  const copy = Uint8Array.from(source)
  const at = Math.floor(bit / 8) % copy.length
  copy[at] = (copy[at] ?? 0) ^ (1 << (bit % 8))
  return copy
}

const agree = (options: Parameters<typeof Ed25519.verify>[0]) =>
  Effect.map(Ed25519.verify(options), (isValid) => {
    assert.strictEqual(isValid, nacl.sign.detached.verify(options.message, options.signature, options.publicKey))
    return isValid
  })

const signed = fc.record({ seed: bytes(32), message: fc.uint8Array({ maxLength: 64 }) }).map(({ message, seed }) => {
  const { publicKey, secretKey } = nacl.sign.keyPair.fromSeed(seed)
  return { publicKey, message, signature: nacl.sign.detached(message, secretKey) }
})

const check = <A>(arbitrary: fc.Arbitrary<A>, body: (value: A) => Effect.Effect<void>, numRuns = 15) =>
  Effect.promise(() =>
    fc.assert(
      fc.asyncProperty(arbitrary, (value) => Effect.runPromise(body(value))),
      { numRuns }
    )
  )

describe("Ed25519", () => {
  it.effect("accepts what clients sign", () =>
    check(signed, (triple) => Effect.map(agree(triple), (isValid) => assert.isTrue(isValid)))
  )

  it.effect("refuses any flipped bit of signature, key or message, as the library of the clients does", () =>
    check(fc.tuple(signed, fc.nat(511), fc.constantFrom("signature", "publicKey", "message")), ([triple, bit, part]) =>
      triple[part as "signature"].length === 0
        ? Effect.void
        : Effect.map(agree({ ...triple, [part]: flip(triple[part as "signature"], bit) }), (isValid) =>
            assert.isFalse(isValid)
          )
    )
  )

  it.effect("agrees with the library of the clients on random bytes", () =>
    check(fc.record({ publicKey: bytes(32), message: bytes(32), signature: bytes(64) }), (triple) =>
      Effect.asVoid(agree(triple))
    )
  )

  it.effect("agrees with the library of the clients on keys of small order", () =>
    Effect.forEach(
      [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"
      ],
      (hex) => {
        const publicKey = Uint8Array.from(Buffer.from(hex, "hex"))
        const signature = new Uint8Array(64)
        signature.set(publicKey)
        return agree({ publicKey, message: new Uint8Array(32), signature })
      }
    )
  )

  // The one disagreement, decided: one message has one signature here, so that a recorded login cannot be
  // presented in a second form.
  it.effect("refuses a signature whose scalar is not reduced, which the library of the clients accepts", () =>
    check(signed, (triple) =>
      Effect.gen(function* () {
        const signature = withOrderAdded(triple.signature)
        assert.isFalse(yield* Ed25519.verify({ ...triple, signature }))
        assert.isTrue(nacl.sign.detached.verify(triple.message, signature, triple.publicKey))
      })
    )
  )

  it.effect("returns false for wrong lengths instead of throwing", () =>
    Effect.gen(function* () {
      const triple = { publicKey: new Uint8Array(32), message: new Uint8Array(1), signature: new Uint8Array(64) }
      assert.isFalse(yield* Ed25519.verify({ ...triple, publicKey: new Uint8Array(31) }))
      assert.isFalse(yield* Ed25519.verify({ ...triple, signature: new Uint8Array(65) }))
    })
  )

  it("derives the same public key from a seed", () => {
    const seed = new Uint8Array(32).fill(7)
    const jwk = Ed25519.privateKeyOf(seed).export({ format: "jwk" })
    assert.deepStrictEqual(
      Buffer.from(jwk.x ?? "", "base64url"),
      Buffer.from(nacl.sign.keyPair.fromSeed(seed).publicKey)
    )
  })
})
