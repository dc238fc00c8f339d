import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { type Durability, stricter } from "../../src/writer/Durability.ts"

const durability = FastCheck.constantFrom<Durability | undefined>("power-loss", "process-crash", undefined)

describe("Durability", () => {
  describe("stricter", () => {
    it.each<[Durability | undefined, Durability | undefined, Durability | undefined]>([
      ["power-loss", "process-crash", "power-loss"],
      ["process-crash", "power-loss", "power-loss"],
      ["process-crash", "process-crash", "process-crash"],
      [undefined, "process-crash", "process-crash"],
      ["power-loss", undefined, "power-loss"],
      [undefined, undefined, undefined]
    ])("keeps both promises: %s and %s make %s", (self, that, both) => {
      assert.strictEqual(stricter(self, that), both)
    })

    it("does not care for order, grouping or repetition", () => {
      FastCheck.assert(
        FastCheck.property(durability, durability, durability, (a, b, c) => {
          assert.strictEqual(stricter(a, b), stricter(b, a))
          assert.strictEqual(stricter(stricter(a, b), c), stricter(a, stricter(b, c)))
          assert.strictEqual(stricter(a, a), a)
          assert.strictEqual(stricter(a, undefined), a)
        })
      )
    })
  })
})
