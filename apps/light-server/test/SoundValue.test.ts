import { assert, describe, it } from "@effect/vitest"
import { Either, Schema } from "effect"
import { depthMax, isSound, WellFormed } from "../src/SoundValue.ts"

const nested = (levels: number): unknown => (levels === 0 ? "x" : [nested(levels - 1)])

describe("a sound value", () => {
  it("may be as deep as the limit, and no deeper", () => {
    assert.isTrue(isSound(nested(depthMax)))
    assert.isFalse(isSound(nested(depthMax + 1)))
    assert.isFalse(isSound(nested(5000)))
  })

  it("contains no unpaired surrogate, in texts or in keys", () => {
    assert.isTrue(isSound({ "\u{1f600}": ["\u{1f600}", 1, null, true] }))
    for (const half of ["\ud800", "a\udc00", "\udc00\ud800"]) {
      for (const value of [half, [half], { [half]: 1 }, { a: { b: half } }]) assert.isFalse(isSound(value))
    }
  })

  it("has a schema for its texts", () => {
    const decode = Schema.decodeUnknownEither(WellFormed)
    assert.isTrue(Either.isRight(decode("\u{1f600}")))
    assert.isTrue(Either.isLeft(decode("\ud83d")))
    assert.isTrue(Either.isLeft(decode(7)))
  })
})
