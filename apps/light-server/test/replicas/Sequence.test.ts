import { assert, describe, it } from "@effect/vitest"
import * as Sequence from "../../src/replicas/Sequence.ts"

describe("Sequence", () => {
  it("numbers broadcasts from one on", () => {
    const sequence = Sequence.make()
    assert.deepStrictEqual([sequence.last(), sequence.next(), sequence.next(), sequence.last()], [0, 1, 2, 2])
  })

  it("begins with the first broadcast that arrives, and finds gaps and repetitions from then on", () => {
    const { receive } = Sequence.make()
    const numbers = [7, 8, 8, 7, 11, 10, 12]
    assert.deepStrictEqual(
      numbers.map((number) => receive("b", number)),
      ["next", "next", "known", "known", "gap", "known", "next"]
    )
    assert.strictEqual(receive("c", 3), "next")
  })

  it("finds that the last broadcasts are missing, once, two seconds after they were announced", () => {
    const { announced, receive } = Sequence.make()
    receive("b", 1)
    assert.isFalse(announced("b", 2, 0))
    // A connection that was frozen delivers many announcements at once.
    for (let n = 0; n < 20; n++) assert.isFalse(announced("b", 2, 1999))
    assert.isTrue(announced("b", 2, 2000))
    assert.isFalse(announced("b", 2, 4000))
    assert.isFalse(announced("b", 3, 4000))
    assert.strictEqual(receive("b", 3), "next")
    assert.isFalse(announced("b", 3, 9000))
  })

  it("does not expect what was sent before this replica listened", () => {
    const { announced, receive } = Sequence.make()
    assert.isFalse(announced("b", 40, 0))
    assert.strictEqual(receive("b", 40), "next")
    assert.isFalse(announced("c", 40, 0))
    assert.isFalse(announced("c", 40, 5000))
    assert.strictEqual(receive("c", 41), "next")
  })
})
