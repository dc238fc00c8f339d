import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as PresenceKey from "../../src/presence/PresenceKey.ts"

describe("PresenceKey", () => {
  it("names a row by kind, account and id", () => {
    assert.deepStrictEqual(PresenceKey.session("a1", "s1"), { kind: "session", accountId: "a1", id: "s1" })
    assert.deepStrictEqual(PresenceKey.machine("a1", "m1"), { kind: "machine", accountId: "a1", id: "m1" })
  })

  it("tells a session from a machine of the same id, and one account from another", () => {
    assert.notDeepEqual(PresenceKey.session("a1", "x"), PresenceKey.machine("a1", "x"))
    assert.notDeepEqual(PresenceKey.session("a1", "x"), PresenceKey.session("a2", "x"))
  })

  it("has the kinds session and machine, and no other", () => {
    const isKind = Schema.is(PresenceKey.PresenceKind)
    assert.deepStrictEqual(["session", "machine", "account", "Session", "", undefined].filter(isKind), [
      "session",
      "machine"
    ])
  })
})
