import { assert, describe, it } from "@effect/vitest"
import * as RowDigest from "../../src/adoption/RowDigest.ts"

const digestOf = (...rows: ReadonlyArray<ReadonlyArray<RowDigest.Value>>) => {
  const digest = RowDigest.make()
  for (const row of rows) digest.add(row)
  return digest.hex()
}

describe("RowDigest", () => {
  it("is the same in any order of rows, and depends on how often a row occurs", () => {
    assert.strictEqual(digestOf([1n], ["a"], [null]), digestOf([null], [1n], ["a"]))
    assert.notStrictEqual(digestOf(["a"]), digestOf(["a"], ["a"]))
    assert.notStrictEqual(digestOf(["a"], ["a"], ["b"]), digestOf(["a"], ["b"], ["b"]))
    assert.strictEqual(digestOf(), "0".repeat(64))
  })

  it("distinguishes values that look alike", () => {
    const alike: ReadonlyArray<ReadonlyArray<RowDigest.Value>> = [
      [1n],
      ["1"],
      [1.5],
      ["1.5"],
      [null],
      [""],
      [Buffer.from("1")],
      ["a", "b"],
      ["ab", ""],
      ["a", null],
      ["at1;b"],
      [9_007_199_254_740_993n],
      [9_007_199_254_740_992n]
    ]
    const digests = alike.map((row) => digestOf(row))
    assert.strictEqual(new Set(digests).size, alike.length)
  })
})
