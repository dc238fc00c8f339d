import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Schema from "effect/Schema"
import * as Lane from "../../src/writer/Lane.ts"

const isLane = Schema.is(Lane.Lane)

describe("Lane", () => {
  it("accepts 1 to 32 of a-z, 0-9 and -, a letter first, and nothing else", () => {
    const letter = FastCheck.constantFrom(..."abcdefghijklmnopqrstuvwxyz")
    const rest = FastCheck.stringOf(FastCheck.constantFrom(..."abcdefghijklmnopqrstuvwxyz0123456789-"), {
      maxLength: 31
    })
    FastCheck.assert(FastCheck.property(letter, rest, (first, others) => isLane(`${first}${others}`)))
    const refused = [
      "",
      "1st",
      "-data",
      "Control",
      "two words",
      "café",
      "a\n",
      "a".repeat(33),
      "lane_one",
      undefined,
      7
    ]
    assert.deepStrictEqual(refused.filter(isLane), [])
    assert.isTrue(isLane("a".repeat(32)))
  })

  describe("make", () => {
    it("gives the name back as a lane", () => {
      assert.strictEqual<string>(Lane.make("replication"), "replication")
    })

    it("throws for a name that does not fit, naming the alphabet", () => {
      assert.throws(() => Lane.make("Replication!"), /1 to 32 of a-z, 0-9 and -, a letter first/)
    })
  })

  it("knows four lanes by name, all different", () => {
    const lanes: ReadonlyArray<string> = [Lane.control, Lane.data, Lane.presence, Lane.maintenance]
    assert.deepStrictEqual(lanes, ["control", "data", "presence", "maintenance"])
  })

  it("crosses a border as its name", () => {
    const encoded: unknown = JSON.parse(JSON.stringify(Schema.encodeSync(Lane.Lane)(Lane.data)))
    assert.strictEqual(encoded, "data")
    assert.strictEqual(Schema.decodeUnknownSync(Lane.Lane)(encoded), Lane.data)
  })
})
