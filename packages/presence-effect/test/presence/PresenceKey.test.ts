import { assert, describe, it } from "@effect/vitest"
import * as PresenceKey from "../../src/presence/PresenceKey.ts"
import { machine, session } from "../support/kinds.ts"

describe("PresenceKey", () => {
  it("has a text that differs by kind, by account, by where the account ends, and by id", () => {
    const keys = [
      session("a1", "x"),
      machine("a1", "x"),
      session("a2", "x"),
      session("a1", "y"),
      session("a", "1x"),
      session("", "a1x"),
      { kind: "session", id: "a1x" },
      { kind: "session", id: "2:a1x" }
    ]
    assert.strictEqual(new Set(keys.map(PresenceKey.nameOf)).size, keys.length)
    assert.strictEqual(PresenceKey.nameOf(session("a1", "x")), PresenceKey.nameOf(session("a1", "x")))
  })
})
