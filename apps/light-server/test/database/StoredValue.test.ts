import { assert, describe, it } from "@effect/vitest"
import { Either, Schema } from "effect"
import { base64OrNull, StoredFlag } from "../../src/database/StoredValue.ts"

describe("StoredFlag", () => {
  it("reads 0 as no and every other number as yes, and writes 0 and 1", () => {
    const decode = Schema.decodeSync(StoredFlag)
    assert.deepStrictEqual(
      [0, 1, 2].map((stored) => decode(stored)),
      [false, true, true]
    )
    assert.deepStrictEqual(
      [false, true].map((flag) => Schema.encodeSync(StoredFlag)(flag)),
      [0, 1]
    )
    assert.isTrue(Either.isLeft(Schema.decodeUnknownEither(StoredFlag)("true")))
  })
})

describe("base64OrNull", () => {
  it("writes bytes with padding, and nothing as null", () => {
    assert.strictEqual(base64OrNull(new Uint8Array([255, 254, 253, 252])), "//79/A==")
    assert.strictEqual(base64OrNull(new Uint8Array()), "")
    assert.isNull(base64OrNull(null))
  })
})
