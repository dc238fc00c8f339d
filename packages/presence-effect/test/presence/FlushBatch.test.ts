import { assert, describe, it } from "@effect/vitest"
import * as FlushBatch from "../../src/presence/FlushBatch.ts"

const entries = Array.from({ length: 7 }, (_, index) => ({
  kind: index < 4 ? ("session" as const) : ("machine" as const),
  accountId: "a",
  id: `${index}`,
  seenAtMillis: index,
  state: "alive" as const
}))
const batch = FlushBatch.make(entries)

describe("FlushBatch", () => {
  it("splits over both kinds and keeps the order", () => {
    assert.deepStrictEqual(
      FlushBatch.chunksOf(batch, 3).map((chunk) => chunk.entries.map(({ id }) => id)),
      [["0", "1", "2"], ["3", "4", "5"], ["6"]]
    )
  })

  it("makes one chunk of what fits, none of nothing, and never an endless number", () => {
    assert.deepStrictEqual(FlushBatch.chunksOf(batch, 7), [batch])
    assert.deepStrictEqual(FlushBatch.chunksOf(FlushBatch.empty, 7), [])
    assert.strictEqual(FlushBatch.chunksOf(batch, 0).length, 7)
  })

  it("counts entries by kind", () => {
    assert.deepStrictEqual(FlushBatch.countByKind(entries), { session: 4, machine: 3 })
  })
})
