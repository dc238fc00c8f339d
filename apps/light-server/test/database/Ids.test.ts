import { assert, describe, it } from "@effect/vitest"
import * as Ids from "../../src/database/Ids.ts"

describe("Ids", () => {
  it("makes cuids of 25 characters in the order of creation, without a duplicate", () => {
    const ids = Array.from({ length: 2000 }, () => Ids.cuid())
    for (const id of ids) assert.match(id, /^c[a-z0-9]{24}$/)
    assert.strictEqual(new Set(ids).size, ids.length)
    // The time comes first; within one millisecond the order is that of a counter, which wraps around now and then.
    const times = ids.map((id) => id.slice(0, 9))
    assert.deepStrictEqual(times, times.toSorted())
  })

  it("makes update ids of 12 letters and digits", () => {
    const ids = Array.from({ length: 2000 }, () => Ids.updateId())
    for (const id of ids) assert.match(id, /^[A-Za-z0-9]{12}$/)
    assert.strictEqual(new Set(ids).size, ids.length)
  })
})
