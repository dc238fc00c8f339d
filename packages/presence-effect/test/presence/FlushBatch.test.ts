import { assert, describe, it } from "@effect/vitest"
import * as FlushBatch from "../../src/presence/FlushBatch.ts"

const entries = Array.from({ length: 7 }, (_, index) => ({
  kind: index < 4 ? ("session" as const) : ("machine" as const),
  accountId: "a",
  id: `${index}`,
  seenAtMillis: index,
  state: "alive" as const
}))

describe("FlushBatch", () => {
  it("counts entries by kind", () => {
    assert.deepStrictEqual(
      [...FlushBatch.countByKind(entries)],
      [
        ["session", 4],
        ["machine", 3]
      ]
    )
  })
})
