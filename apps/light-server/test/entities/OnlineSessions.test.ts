/**
 * Goal: the online sessions of an account can be listed without reading all its sessions. Method: the real presence
 * over rows in memory, on virtual time.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, TestClock } from "effect"
import * as PresenceEffect from "presence-effect/Presence"
import * as Presence from "../../src/entities/Presence.ts"
import * as PresenceKey from "../../src/entities/PresenceKey.ts"
import * as OnlineSessions from "../../src/entities/OnlineSessions.ts"

const layer = Layer.provide(
  OnlineSessions.layer,
  PresenceEffect.layerMemory(Presence.Presence, { interval: "1 second" })
)

const session = (id: string, accountId = "a1") => PresenceKey.session(accountId, id)

const services = Effect.all({ online: OnlineSessions.OnlineSessions, presence: Presence.Presence })

const now = Effect.clockWith((clock) => clock.currentTimeMillis)

describe("OnlineSessions", () => {
  it.scoped("lists the sessions of an account that sent a heartbeat or connected, before anything is written", () =>
    Effect.gen(function* () {
      const { online, presence } = yield* services
      yield* TestClock.adjust("1 second")
      presence.beat(session("s1"), yield* now)
      presence.connected(session("s2"))
      presence.beat(session("s3", "a2"), yield* now)
      presence.beat(PresenceKey.machine("a1", "m1"), yield* now)
      assert.sameMembers([...online.of("a1")], ["s1", "s2"])
      assert.deepStrictEqual(online.of("a2"), ["s3"])
      assert.deepStrictEqual(online.of("a3"), [])
    }).pipe(Effect.provide(layer))
  )

  it.scoped("removes one that is deleted or ends, and lists one that comes back", () =>
    Effect.gen(function* () {
      const { online, presence } = yield* services
      yield* TestClock.adjust("1 second")
      for (const id of ["s1", "s2"]) presence.beat(session(id), yield* now)
      presence.forget(session("s1"))
      assert.deepStrictEqual(online.of("a1"), ["s2"])
      yield* presence.end(session("s2"), yield* now)
      assert.deepStrictEqual(online.of("a1"), [])
      yield* TestClock.adjust("1 second")
      presence.beat(session("s2"), yield* now)
      assert.deepStrictEqual(online.of("a1"), ["s2"])
    }).pipe(Effect.provide(layer))
  )
})
