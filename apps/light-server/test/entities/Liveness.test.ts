import { assert, describe, it } from "@effect/vitest"
import * as PresenceKey from "../../src/entities/PresenceKey.ts"
import * as Liveness from "../../src/entities/Liveness.ts"

const key = PresenceKey.machine("a1", "m1")

describe("Liveness", () => {
  it("comes from the database while memory has no entry", () => {
    const stored = { active: true, lastActiveAt: 5 }
    assert.deepStrictEqual(Liveness.of({ lastSeen: () => undefined }, key, stored), { active: true, activeAt: 5 })
  })

  it("is online when memory has it online, with the later of both times", () => {
    const lastSeen = () => ({ isOnline: false, lastSeenMillis: 7 })
    assert.deepStrictEqual(Liveness.of({ lastSeen }, key, { active: true, lastActiveAt: 5 }), {
      active: false,
      activeAt: 7
    })
    assert.deepStrictEqual(Liveness.of({ lastSeen }, key, { active: true, lastActiveAt: 9 }), {
      active: false,
      activeAt: 9
    })
  })
})
