import { assert, describe, it } from "@effect/vitest"
import * as PayloadSize from "../../src/realtime/PayloadSize.ts"

const nested = (depth: number): unknown => {
  let value: unknown = 1
  for (let index = 0; index < depth; index++) value = [value]
  return value
}

describe("PayloadSize", () => {
  it("counts texts as UTF-8, bytes as they are, and everything inside", () => {
    assert.isTrue(PayloadSize.isWithin("x".repeat(10), 10))
    assert.isFalse(PayloadSize.isWithin("x".repeat(11), 10))
    assert.isTrue(PayloadSize.isWithin("ü".repeat(5), 10))
    assert.isFalse(PayloadSize.isWithin("ü".repeat(6), 10))
    assert.isTrue(PayloadSize.isWithin(Buffer.alloc(10), 10))
    assert.isFalse(PayloadSize.isWithin({ a: Buffer.alloc(10) }, 10))
    assert.isTrue(PayloadSize.isWithin({ ab: ["cd", 12, null] }, 10))
    assert.isFalse(PayloadSize.isWithin({ ab: ["cd", 123, null] }, 10))
    assert.isFalse(
      PayloadSize.isWithin(
        Array.from({ length: 11 }, () => 1),
        10
      )
    )
  })

  it("takes nothing for small", () => {
    for (const nothing of [undefined, null, "", 0, false, {}, []]) assert.isTrue(PayloadSize.isWithin(nothing, 5))
  })

  it("refuses what is too deep to be encoded again, however small it is", () => {
    assert.isTrue(PayloadSize.isWithin(nested(64), 10))
    assert.isFalse(PayloadSize.isWithin(nested(65), 10))
    assert.isFalse(PayloadSize.isWithin(nested(200_000), 1_000_000))
  })
})
