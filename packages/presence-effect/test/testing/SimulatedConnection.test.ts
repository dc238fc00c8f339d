import * as SqliteFault from "../../src/sqlite/SqliteFault.ts"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { SqliteConnection } from "../../src/writer/SqliteConnection.ts"
import * as SimulatedConnection from "../../src/testing/SimulatedConnection.ts"
import type { Changes, Statement } from "../../src/writer/Write.ts"

const settle = Effect.yieldNow().pipe(Effect.repeatN(16))
const statement = (sql: string, changes: Changes = "any"): Statement => ({ sql, params: [], changes })

describe("SimulatedConnection", () => {
  it.effect("takes its latency and that of each statement, on virtual time", () =>
    Effect.gen(function* () {
      const engine = yield* SimulatedConnection.make({ latency: "20 millis", statementLatency: "5 millis" })
      const group = [[statement("a"), statement("b")], [statement("c")]]
      const call = yield* Effect.fork(engine.connection.run(group, "power-loss"))
      yield* TestClock.adjust("34 millis")
      assert.deepStrictEqual(engine.committed, [])
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(call)
      assert.deepStrictEqual(engine.committed, [{ atMillis: 35, durability: "power-loss", writes: group }])
      engine.setLatency("1 second")
      const slow = yield* Effect.fork(engine.connection.run([[]], "process-crash"))
      yield* TestClock.adjust("999 millis")
      assert.isNull(slow.unsafePoll())
      yield* TestClock.adjust("1 millis")
      assert.isNotNull(slow.unsafePoll())
      assert.strictEqual(engine.callCount(), 2)
    })
  )

  it.effect("dies on a statement that would return rows, instead of returning an empty result", () =>
    Effect.gen(function* () {
      const engine = yield* SimulatedConnection.make()
      const exit = yield* Effect.exit(
        engine.connection.run(
          [[{ sql: "UPDATE Job SET id = 1 RETURNING id", params: [], changes: "any" }]],
          "power-loss"
        )
      )
      assert.include(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "", "use SimulatedDatabase")
      assert.deepStrictEqual(engine.committed, [])
    })
  )

  it.effect("changes as many rows as a statement must, unless told otherwise", () =>
    Effect.gen(function* () {
      const obedient = yield* SimulatedConnection.make()
      const [done] = yield* obedient.connection.run(
        [[statement("a"), statement("b", "some"), statement("c", 7)]],
        "power-loss"
      )
      assert.deepStrictEqual(done?._tag === "Done" ? done.results.map(({ changes }) => changes) : [], [1, 1, 7])
      const stubborn = yield* SimulatedConnection.make({
        evaluate: ({ sql }) =>
          sql === "bad"
            ? SqliteFault.make({ code: "SQLITE_CONSTRAINT", detail: sql, phase: "statement" })
            : { rows: [{ sql }], changes: 0 }
      })
      const answers = yield* stubborn.connection.run(
        [[statement("good")], [statement("good"), statement("bad")], [statement("fine")]],
        "power-loss"
      )
      assert.deepStrictEqual(
        answers.map(({ _tag }) => _tag),
        ["Done", "Failed", "Done"]
      )
      assert.deepStrictEqual(
        stubborn.committed.map(({ writes }) => writes.map((write) => write.map(({ sql }) => sql))),
        [[["good"], ["fine"]]]
      )
    })
  )

  it.effect("answers busy while it is locked, and then the faults it was told, one per call", () =>
    Effect.gen(function* () {
      const engine = yield* SimulatedConnection.make()
      const code = Effect.map(Effect.either(engine.connection.run([[statement("a")]], "power-loss")), (reply) =>
        reply._tag === "Left" ? reply.left.code : "committed"
      )
      engine.failNext({ code: "SQLITE_FULL", detail: "first", phase: "statement" })
      engine.failNext({ code: "LOST", detail: "second", phase: "commit" })
      engine.lock()
      assert.deepStrictEqual([yield* code, yield* code], ["SQLITE_BUSY", "SQLITE_BUSY"])
      engine.unlock()
      assert.deepStrictEqual([yield* code, yield* code, yield* code], ["SQLITE_FULL", "LOST", "committed"])
      assert.lengthOf(engine.committed, 1)
      assert.strictEqual(engine.callCount(), 5)
    })
  )

  it.effect("loses only the answer of a group that it was told to commit", () =>
    Effect.gen(function* () {
      const engine = yield* SimulatedConnection.make()
      engine.failNext({ code: "LOST", detail: "after", phase: "commit" }, { isCommitted: true })
      const reply = yield* Effect.flip(engine.connection.run([[statement("a")]], "power-loss"))
      assert.strictEqual(reply.code, "LOST")
      assert.lengthOf(engine.committed, 1)
    })
  )

  it.effect("can let another engine execute a group", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const full = SqliteFault.make({ code: "SQLITE_FULL", detail: "", phase: "statement" })
      const engine = yield* SimulatedConnection.make({
        evaluateGroup: (group, durability) => {
          seen.push([group, durability])
          return seen.length > 1
            ? full
            : [
                { _tag: "Done", results: [] },
                { _tag: "Failed", fault: full }
              ]
        }
      })
      const group = [[statement("a")], [statement("b")]]
      const answers = yield* engine.connection.run(group, "process-crash")
      assert.deepStrictEqual(seen, [[group, "process-crash"]])
      assert.strictEqual(answers[1]?._tag, "Failed")
      assert.deepStrictEqual(engine.committed[0]?.writes, group.slice(0, 1))
      assert.strictEqual(yield* Effect.flip(engine.connection.run(group, "process-crash")), full)
      assert.lengthOf(engine.committed, 1)
    })
  )

  it.effect("stops in the middle of a call and goes on when told, as often as told", () =>
    Effect.gen(function* () {
      const engine = yield* SimulatedConnection.make({ latency: "10 millis" })
      const call = yield* Effect.fork(engine.connection.run([[statement("a")]], "power-loss"))
      yield* settle
      engine.stall()
      yield* TestClock.adjust("1 hour")
      assert.isNull(call.unsafePoll())
      engine.resume()
      engine.stall()
      yield* settle
      assert.isNull(call.unsafePoll())
      engine.resume()
      yield* Fiber.join(call)
      engine.resume()
    })
  )

  it.effect("dies when two calls overlap, and works on after a call that was interrupted", () =>
    Effect.gen(function* () {
      const engine = yield* SimulatedConnection.make({ latency: "10 millis" })
      const { connection } = engine
      const first = yield* Effect.fork(connection.run([[statement("a")]], "power-loss"))
      yield* settle
      for (const second of [
        Effect.asVoid(connection.run([[]], "power-loss")),
        Effect.asVoid(connection.checkpoint("passive"))
      ]) {
        const exit = yield* Effect.exit(second)
        assert.include(String(Exit.isFailure(exit) ? exit.cause : ""), "two calls overlap")
      }
      yield* connection.logState
      yield* connection.copyLog
      yield* Fiber.interrupt(first)
      engine.setLatency(0)
      yield* connection.run([[statement("b")]], "power-loss")
      assert.lengthOf(engine.committed, 1)
    })
  )

  it.effect("has a log that starts anew once it is copied, unless a reader pins it", () =>
    Effect.gen(function* () {
      const engine = yield* SimulatedConnection.make({ framesPerStatement: 10 })
      const { connection } = engine
      const write = connection.run([[statement("a")]], "power-loss")
      const frames = Effect.map(connection.logState, (state) => [state.logFrames, state.checkpointedFrames])
      yield* write
      yield* write
      assert.deepStrictEqual(yield* frames, [20, 0])
      engine.pinReader()
      yield* connection.copyLog
      assert.deepStrictEqual(yield* frames, [20, 0])
      assert.isTrue((yield* connection.checkpoint("truncate")).isBusy)
      engine.releaseReader()
      yield* connection.checkpoint("noop")
      assert.deepStrictEqual(yield* frames, [20, 0])
      yield* connection.checkpoint("passive")
      assert.deepStrictEqual(yield* frames, [20, 20])
      const full = (yield* connection.identity).logBytes
      yield* write
      assert.deepStrictEqual(yield* frames, [10, 0])
      assert.strictEqual((yield* connection.identity).logBytes, full)
      assert.isFalse((yield* connection.checkpoint("truncate")).isBusy)
      assert.deepStrictEqual(yield* frames, [0, 0])
      assert.strictEqual((yield* connection.identity).logBytes, 0)
    })
  )

  it.effect("is a layer of the port", () =>
    Effect.gen(function* () {
      const engine = yield* SimulatedConnection.make()
      yield* Effect.provide(
        Effect.flatMap(SqliteConnection, (connection) => connection.run([[statement("a")]], "power-loss")),
        engine.layer
      )
      assert.strictEqual(engine.callCount(), 1)
    })
  )
})
