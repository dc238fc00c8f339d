import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { between, type JsonObject } from "../../src/status/StatusDelta.ts"

const { applyPatch } = (await import("../../web/status/patch.js" as string)) as {
  readonly applyPatch: (target: unknown, patch: unknown) => unknown
}

const json = fc.letrec((tie) => ({
  object: fc.dictionary(fc.string({ maxLength: 3 }), tie("value"), { maxKeys: 4, noNullPrototype: true }),
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.integer(),
    fc.boolean(),
    fc.string({ maxLength: 4 }),
    fc.array(fc.integer(), { maxLength: 3 }),
    tie("object")
  )
})).object as fc.Arbitrary<JsonObject>

describe("StatusDelta", () => {
  it("makes a patch with which the page arrives at the new snapshot, whatever the two are", () => {
    fc.assert(
      fc.property(json, json, (before, after) => {
        fc.pre(!JSON.stringify([before, after]).includes("__proto__"))
        const patch = between(before, after)
        assert.deepStrictEqual(patch === undefined ? before : applyPatch(before, patch), after)
      })
    )
  })

  it("says nothing about what did not change, and removes what is gone", () => {
    assert.isUndefined(between({ a: 1, b: { c: [1] } }, { a: 1, b: { c: [1] } }))
    assert.deepStrictEqual(between({ a: { x: 1, y: 2 }, b: 1 }, { a: { x: 1, y: 3 }, b: undefined }), {
      a: { y: 3 },
      b: null
    })
  })

  it("leaves the value alone that a patch is applied to", () => {
    const before = { a: { x: 1 }, b: { y: 1 } }
    const after = applyPatch(before, { a: { x: null } }) as typeof before
    assert.deepStrictEqual(before, { a: { x: 1 }, b: { y: 1 } })
    assert.strictEqual(after.b, before.b)
  })
})
