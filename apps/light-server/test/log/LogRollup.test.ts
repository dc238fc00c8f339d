import { assert, describe, it } from "@effect/vitest"
import * as LogRollup from "../../src/log/LogRollup.ts"

const make = (capacity = 10) => {
  const written: Array<string> = []
  let suppressed = 0
  const rollup = LogRollup.make({
    windowMillis: 60_000,
    capacity,
    write: ({ message }) => written.push(message),
    suppressed: () => suppressed++
  })
  const offer = (key: string, now: number) => rollup.offer({ level: "warn", key, fields: {}, message: key }, now)
  return { rollup, offer, written, suppressedCount: () => suppressed }
}

describe("LogRollup", () => {
  it("writes the first line of a kind at once and reports its repetitions when the window ends", () => {
    const { offer, rollup, suppressedCount, written } = make()
    for (let index = 0; index < 813; index++) offer("busy", index)
    assert.deepStrictEqual(written, ["busy"])
    rollup.sweep(60_000)
    assert.deepStrictEqual(written, ["busy", "busy (repeated 812 times in 60 s)"])
    assert.strictEqual(suppressedCount(), 812)
  })

  it("writes nothing more about a line that came once", () => {
    const { offer, rollup, written } = make()
    offer("busy", 0)
    rollup.sweep(60_000)
    rollup.close()
    assert.deepStrictEqual(written, ["busy"])
  })

  it("opens a new window with the first line after the old one", () => {
    const { offer, written } = make()
    offer("busy", 0)
    offer("busy", 1)
    offer("busy", 60_001)
    assert.deepStrictEqual(written, ["busy", "busy (repeated 1 times in 60 s)", "busy"])
  })

  it("remembers no more kinds than its capacity", () => {
    const { offer, written } = make(1)
    offer("a", 0)
    offer("b", 0)
    offer("b", 1)
    assert.deepStrictEqual(written, ["a", "b", "b"])
  })

  it("ends a window when the clock steps back by more than its length", () => {
    const { offer, written } = make()
    offer("busy", 100_000)
    offer("busy", 10_000)
    assert.deepStrictEqual(written, ["busy", "busy"])
  })

  it("reports everything when it closes", () => {
    const { offer, rollup, written } = make()
    offer("a", 0)
    offer("a", 1)
    rollup.close()
    assert.deepStrictEqual(written, ["a", "a (repeated 1 times in 60 s)"])
  })
})
