import { assert, describe, it } from "@effect/vitest"
import * as LruCache from "../src/LruCache.ts"

describe("LruCache", () => {
  it("forgets the least recently used entry when one more comes than it remembers", () => {
    const forgotten: Array<string> = []
    const cache = LruCache.make<number>(3, { dispose: (_, name, reason) => void forgotten.push(`${name}: ${reason}`) })
    for (const [index, name] of ["a", "b", "c"].entries()) cache.set(name, index)
    cache.get("a")
    cache.set("d", 3)
    assert.deepStrictEqual([...cache.keys()].toSorted(), ["a", "c", "d"])
    assert.deepStrictEqual(forgotten, ["b: evict"])
    cache.delete("a")
    cache.set("e", 4)
    assert.deepStrictEqual([...cache.keys()].toSorted(), ["c", "d", "e"])
  })

  it("reserves no memory for entries to come", () => {
    const bytes = () => {
      const { arrayBuffers, heapUsed } = process.memoryUsage()
      return arrayBuffers + heapUsed
    }
    const before = bytes()
    const caches = Array.from({ length: 10 }, () => LruCache.make<number>(1_000_000))
    // Reserved at once, it would be 20 MB and more for each.
    assert.isBelow(bytes() - before, 10e6)
    assert.lengthOf(caches, 10)
  })
})
