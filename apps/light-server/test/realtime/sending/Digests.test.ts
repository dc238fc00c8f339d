import { assert, describe, it } from "@effect/vitest"
import { Effect, TestClock } from "effect"
import * as Digests from "../../../src/realtime/sending/Digests.ts"
import * as ReplicaBus from "../../../src/replicas/ReplicaBus.ts"

/** Digests of a replica whose other replica watches the rooms that a test says. */
const make = Effect.gen(function* () {
  const sent: Array<unknown> = []
  const watched = new Set<string>()
  const bus: ReplicaBus.ReplicaBus = {
    ...ReplicaBus.alone,
    self: "a",
    isAlone: false,
    others: () => ["b"],
    send: (_, body) => sent.push(body) > 0
  }
  const replicasOf = (room: string) => new Set(watched.has(room) ? ["b"] : [])
  const digests = yield* Digests.make<string>(bus, { replicasOf }, () => {})
  const beat = (room: string, name: string, ephemeral: string, thinking = false) =>
    digests.add(room, { name, thinking, ephemeral })
  yield* Effect.yieldNow()
  return { beat, digests, sent, watched }
})

describe("Digests", () => {
  it.scoped("have the newest sign of each row of a room", () =>
    Effect.gen(function* () {
      const { beat, sent, watched } = yield* make
      watched.add("r").add("q")
      for (let n = 0; n < 10; n++) beat("r", "s1", `s1 ${n}`)
      beat("r", "s2", "s2 0")
      beat("q", "s3", "s3 0")
      yield* TestClock.adjust("4999 millis")
      assert.deepStrictEqual(sent, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(sent, [
        { room: "r", ephemerals: ["s1 9", "s2 0"] },
        { room: "q", ephemerals: ["s3 0"] }
      ])
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(sent.length, 2)
    })
  )

  it.scoped("keep nothing of a room that nobody watches elsewhere", () =>
    Effect.gen(function* () {
      const { beat, sent, watched } = yield* make
      for (let n = 0; n < 10; n++) beat("r", `s${n}`, "early", n % 2 === 0)
      watched.add("r")
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(sent, [])
    })
  )

  it.scoped("do not repeat a row that was announced as offline meanwhile", () =>
    Effect.gen(function* () {
      const { beat, digests, sent, watched } = yield* make
      watched.add("r")
      beat("r", "s1", "alive")
      digests.announced("r", { name: "s1", thinking: false })
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(sent, [])
    })
  )

  it.scoped("are not waited for when a row begins or ends thinking", () =>
    Effect.gen(function* () {
      const { beat, sent, watched } = yield* make
      watched.add("r")
      beat("r", "s1", "1", false)
      beat("r", "s1", "2", true)
      beat("r", "s1", "3", true)
      beat("r", "s1", "4", false)
      assert.deepStrictEqual(sent, [
        { room: "r", ephemerals: ["2"] },
        { room: "r", ephemerals: ["4"] }
      ])
    })
  )
})
