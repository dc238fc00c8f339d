import { assert, describe, it } from "@effect/vitest"
import { Either, Schema } from "effect"
import { StoredTime } from "../../src/database/StoredTime.ts"

const decode = Schema.decodeUnknownEither(StoredTime)

describe("StoredTime", () => {
  for (const [stored, millis] of [
    [1_769_947_200_123, 1_769_947_200_123],
    [1_769_947_200_123.9, 1_769_947_200_123],
    ["2026-02-01T12:00:00.123Z", 1_769_947_200_123],
    ["2026-02-01T12:00:00.123+00:00", 1_769_947_200_123],
    ["2026-02-01T13:00:00+01:00", 1_769_947_200_000],
    ["2026-02-01 12:00:00", 1_769_947_200_000],
    ["2026-02-01", 1_769_904_000_000],
    ["1769947200123", 1_769_947_200_123]
  ] as const) {
    it(`reads ${JSON.stringify(stored)}`, () => {
      assert.deepStrictEqual(decode(stored), Either.right(millis))
    })
  }

  for (const stored of ["", "yesterday", "2026-13-45", "2026-02-01 25:00:00", null, Number.NaN]) {
    it(`refuses ${JSON.stringify(stored)}`, () => {
      assert.isTrue(Either.isLeft(decode(stored)))
    })
  }

  it("writes integers", () => {
    assert.strictEqual(Schema.encodeSync(StoredTime)(1_769_947_200_123), 1_769_947_200_123)
  })
})
