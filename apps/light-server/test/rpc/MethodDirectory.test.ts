import { assert, describe, it } from "@effect/vitest"
import * as MethodDirectory from "../../src/rpc/MethodDirectory.ts"

const registrant = (name: string) => ({ name })

describe("MethodDirectory", () => {
  it("gives a method to its newest registrant", () => {
    const directory = MethodDirectory.make<{ readonly name: string }>(10)
    const [first, second] = [registrant("first"), registrant("second")]
    assert.strictEqual(directory.register("a1", "m1:x", first), "registered")
    assert.strictEqual(directory.register("a1", "m1:x", first), "registered")
    assert.strictEqual(directory.register("a1", "m1:x", second), "replaced")
    assert.strictEqual(directory.find("a1", "m1:x"), second)
    assert.strictEqual(directory.count(), 1)
  })

  it("leaves a method to its newest registrant when an older one leaves, and returns it when the newest does", () => {
    const directory = MethodDirectory.make<{ readonly name: string }>(10)
    const [first, second, third] = [registrant("first"), registrant("second"), registrant("third")]
    for (const each of [first, second, third]) directory.register("a1", "m1:x", each)
    directory.unregister("a1", "m1:x", second)
    assert.strictEqual(directory.find("a1", "m1:x"), third)
    directory.unregisterAll("a1", third)
    assert.strictEqual(directory.find("a1", "m1:x"), first)
    assert.strictEqual(directory.register("a1", "m1:x", second), "replaced")
    assert.strictEqual(directory.register("a1", "m1:x", first), "replaced")
    assert.strictEqual(directory.find("a1", "m1:x"), first)
    assert.strictEqual(directory.count(), 1)
    directory.unregisterAll("a1", first)
    directory.unregisterAll("a1", second)
    assert.isUndefined(directory.find("a1", "m1:x"))
    assert.strictEqual(directory.count(), 0)
  })

  it("keeps accounts apart", () => {
    const directory = MethodDirectory.make<{ readonly name: string }>(10)
    const [own, foreign] = [registrant("own"), registrant("foreign")]
    directory.register("a1", "m1:x", own)
    assert.isUndefined(directory.find("a2", "m1:x"))
    assert.strictEqual(directory.register("a2", "m1:x", foreign), "registered")
    directory.unregister("a2", "m1:x", own)
    assert.strictEqual(directory.find("a1", "m1:x"), own)
    assert.strictEqual(directory.find("a2", "m1:x"), foreign)
  })

  it("refuses one method too many of a registrant", () => {
    const directory = MethodDirectory.make<{ readonly name: string }>(2)
    const first = registrant("first")
    directory.register("a1", "m1:x", first)
    directory.register("a1", "m1:y", first)
    assert.strictEqual(directory.register("a1", "m1:z", first), "limited")
    assert.strictEqual(directory.register("a1", "m1:y", first), "registered")
    directory.unregister("a1", "m1:x", first)
    assert.strictEqual(directory.register("a1", "m1:z", first), "registered")
  })
})
