/** `SqliteWriter.withPermit`: what happens to a body whose caller leaves, and to a writer whose body does not end. */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as SimulatedConnection from "../../src/testing/SimulatedConnection.ts"
import * as Lane from "../../src/writer/Lane.ts"
import { SqliteConnection } from "../../src/writer/SqliteConnection.ts"
import * as SqliteWriter from "../../src/writer/SqliteWriter.ts"
import * as Write from "../../src/writer/Write.ts"
import type { WriterError } from "../../src/writer/WriterError.ts"
import * as WriterMetrics from "../../src/writer/WriterMetrics.ts"

/** Lets every runnable fiber reach its next suspension. No clock is involved. */
const settle = Effect.yieldNow().pipe(Effect.repeatN(64))

const one = (name: string) => Write.statement(`INSERT INTO T VALUES ('${name}')`, [], { changes: 1 })

const opened = Effect.gen(function* () {
  const engine = yield* SimulatedConnection.make()
  const scope = yield* Scope.make()
  const writer = yield* SqliteWriter.make().pipe(Effect.provide(engine.layer), Scope.extend(scope))
  const close = Scope.close(scope, Exit.void)
  yield* Effect.addFinalizer(() => close)
  return { engine, writer, close }
})

const count = (lane: Lane.Lane, outcome: string) =>
  Effect.map(Metric.value(WriterMetrics.writes(lane, outcome)), (state) => state.count)

describe("a body whose caller is interrupted", () => {
  it.scoped("ends before anything that its caller has acquired is released, and gives the permit back", () =>
    Effect.gen(function* () {
      const { writer } = yield* opened
      const events: Array<string> = []
      const note = (event: string) => Effect.sync(() => events.push(event))
      const body = Effect.acquireUseRelease(
        note("begin"),
        () => Effect.never,
        () => Effect.zipRight(Effect.repeatN(Effect.yieldNow(), 20), note("rollback"))
      )
      const caller = yield* Effect.acquireRelease(note("acquired"), () => note("released")).pipe(
        Effect.zipRight(writer.withPermit(Lane.control)(body)),
        Effect.scoped,
        Effect.fork
      )
      yield* settle
      yield* Fiber.interrupt(caller)
      assert.deepStrictEqual(events, ["acquired", "begin", "rollback", "released"])
      yield* settle
      assert.isUndefined((yield* writer.status).holder)
      yield* writer.write(Lane.control, one("next"))
    })
  )

  it.scoped("keeps the permit when it cannot be interrupted, and its caller leaves at the hold limit", () =>
    Effect.gen(function* () {
      const { engine, writer } = yield* opened
      const gate = yield* Deferred.make<void>()
      const caller = yield* Effect.fork(writer.withPermit(Lane.control)(Effect.uninterruptible(Deferred.await(gate))))
      yield* settle
      yield* TestClock.adjust("200 millis")
      const leaving = yield* Effect.fork(Fiber.interrupt(caller))
      const next = yield* Effect.fork(writer.write(Lane.data, one("next")))
      yield* TestClock.adjust("299 millis")
      assert.isNull(leaving.unsafePoll())
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(leaving)
      assert.strictEqual(engine.callCount(), 0)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(next)
    })
  )

  it.scoped("is interrupted also when it was granted the permit in the instant its caller left", () =>
    Effect.gen(function* () {
      const { engine, writer } = yield* opened
      for (let turns = 0; turns <= 12; turns++) {
        engine.stall()
        const holder = yield* Effect.fork(writer.write(Lane.presence, one("holder")))
        yield* settle
        const caller = yield* Effect.fork(writer.withPermit(Lane.data)(Effect.never))
        yield* settle
        engine.resume()
        yield* Effect.repeatN(Effect.yieldNow(), turns)
        yield* Fiber.interrupt(caller)
        yield* Fiber.join(holder)
        yield* settle
        assert.isUndefined((yield* writer.status).holder, `permit kept after ${turns} turns`)
      }
    })
  )
})

describe("a body that takes longer than the hold limit", () => {
  it.scoped("goes on and keeps the permit, and its caller does not know the outcome", () =>
    Effect.gen(function* () {
      const { writer } = yield* opened
      const gate = yield* Deferred.make<void>()
      const before = yield* count(Lane.control, "WriteUnconfirmed")
      const caller = yield* Effect.fork(Effect.flip(writer.withPermit(Lane.control)(Deferred.await(gate))))
      yield* settle
      yield* TestClock.adjust("500 millis")
      assert.deepInclude(yield* Fiber.join(caller), { _tag: "WriteUnconfirmed", reason: "hold-limit", heldMillis: 500 })
      assert.strictEqual((yield* count(Lane.control, "WriteUnconfirmed")) - before, 1)
      assert.deepInclude((yield* writer.status).holder, { lane: Lane.control })
      yield* Deferred.succeed(gate, undefined)
      yield* settle
      assert.isUndefined((yield* writer.status).holder)
      assert.strictEqual((yield* writer.status).lastCommitMillis, 500)
    })
  )
})

describe("a checkpoint whose caller is interrupted", () => {
  it.scoped("lets the caller go at once, and keeps the permit until the engine has answered", () =>
    Effect.gen(function* () {
      const answer = yield* Deferred.make<void>()
      const simulated = yield* SimulatedConnection.make()
      // As a thread does: it goes on when its answer is no longer awaited.
      const connection = SqliteConnection.of({
        ...simulated.connection,
        checkpoint: (mode) =>
          Effect.flatMap(
            Effect.forkDaemon(Effect.zipRight(Deferred.await(answer), simulated.connection.checkpoint(mode))),
            Fiber.join
          )
      })
      const writer = yield* Effect.provideService(SqliteWriter.make(), SqliteConnection, connection)
      const caller = yield* Effect.fork(writer.checkpoint(Lane.maintenance, "passive"))
      yield* settle
      yield* Fiber.interrupt(caller)
      const next = yield* Effect.fork(writer.write(Lane.control, one("next")))
      yield* settle
      assert.deepInclude((yield* writer.status).holder, { lane: Lane.maintenance })
      assert.strictEqual(simulated.callCount(), 0)
      yield* Deferred.succeed(answer, undefined)
      yield* Fiber.join(next)
    })
  )
})

describe("what is asked for inside a body", () => {
  it.scoped("fails at once, naming both lanes, instead of waiting for itself", () =>
    Effect.gen(function* () {
      const { engine, writer } = yield* opened
      const nested = { _tag: "NestedPermit", lane: Lane.presence, holder: Lane.control, written: "nothing" }
      const asks: ReadonlyArray<Effect.Effect<unknown, WriterError>> = [
        writer.write(Lane.presence, one("nested")),
        writer.withPermit(Lane.presence)(Effect.void),
        writer.checkpoint(Lane.presence, "passive"),
        Effect.flatMap(Effect.fork(writer.write(Lane.presence, one("forked"))), Fiber.join)
      ]
      for (const ask of asks) {
        const failure = yield* Effect.flip(writer.withPermit(Lane.control)(Effect.asVoid(ask)))
        assert.deepInclude<object>(failure, nested)
        assert.match(failure.message, /lane presence .* lane control/)
      }
      assert.strictEqual(engine.callCount(), 0)
      yield* writer.write(Lane.control, one("after"))
    })
  )

  it.scoped("is served from a fiber that the body forked, once the body has ended", () =>
    Effect.gen(function* () {
      const { writer } = yield* opened
      const gate = yield* Deferred.make<void>()
      const scope = yield* Effect.scope
      const later = Effect.zipRight(Deferred.await(gate), writer.write(Lane.data, one("later")))
      const fiber = yield* writer.withPermit(Lane.control)(Effect.forkIn(later, scope))
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(fiber)
    })
  )

  it.scoped("is served when it is for another writer", () =>
    Effect.gen(function* () {
      const first = yield* opened
      const second = yield* opened
      yield* first.writer.withPermit(Lane.control)(second.writer.write(Lane.control, one("other")))
    })
  )
})

describe("the end of a writer whose body still runs", () => {
  it.scoped("comes within the longest hold and a moment, also when the body cannot be interrupted", () =>
    Effect.gen(function* () {
      const { close, writer } = yield* opened
      const gate = yield* Deferred.make<void>()
      yield* Effect.fork(Effect.ignore(writer.withPermit(Lane.control)(Effect.uninterruptible(Deferred.await(gate)))))
      yield* settle
      const closing = yield* Effect.fork(close)
      yield* settle
      yield* TestClock.adjust("10999 millis")
      assert.isNull(closing.unsafePoll())
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(closing)
      assert.strictEqual((yield* writer.status).state, "closed")
      yield* Deferred.succeed(gate, undefined)
    })
  )

  it.scoped("tells its caller that the outcome is unknown, not that it was interrupted", () =>
    Effect.gen(function* () {
      const { close, writer } = yield* opened
      // The longest hold of all lanes, so that both limits come in the same instant.
      const caller = yield* Effect.fork(Effect.flip(writer.withPermit(Lane.maintenance)(Effect.never)))
      yield* settle
      const closing = yield* Effect.fork(close)
      yield* settle
      yield* TestClock.adjust("10 seconds")
      yield* TestClock.adjust("1 seconds")
      yield* Fiber.join(closing)
      const failure: unknown = yield* Fiber.join(caller)
      assert.propertyVal(failure, "_tag", "WriteUnconfirmed")
    })
  )
})

describe("what is counted", () => {
  it.scoped("is each write once, however often it was tried, by what its caller was told", () =>
    Effect.gen(function* () {
      const { engine, writer } = yield* opened
      const outcomes = ["committed", "DatabaseBusy", "failed", "interrupted", "WriteRejected"]
      const counts = Effect.forEach(outcomes, (outcome) => count(Lane.control, outcome))
      const before = yield* counts
      engine.lock()
      const write = yield* Effect.fork(writer.write(Lane.control, one("patient")))
      yield* settle
      yield* TestClock.adjust("100 millis")
      assert.isAbove(engine.callCount(), 2)
      engine.unlock()
      yield* TestClock.adjust("40 millis")
      yield* Fiber.join(write)
      yield* writer.withPermit(Lane.control)(Effect.void)
      yield* Effect.flip(writer.withPermit(Lane.control)(Effect.fail("mine")))
      const left = yield* Effect.fork(writer.withPermit(Lane.control)(Effect.never))
      yield* settle
      yield* Fiber.interrupt(left)
      const after = yield* counts
      assert.deepStrictEqual(
        after.map((value, index) => value - (before[index] ?? 0)),
        [2, 0, 1, 1, 0]
      )
    })
  )

  it.scoped("is the commit of a body, and no checkpoint", () =>
    Effect.gen(function* () {
      const { writer } = yield* opened
      yield* TestClock.adjust("5 seconds")
      yield* writer.checkpoint(Lane.maintenance, "passive")
      assert.isUndefined((yield* writer.status).lastCommitMillis)
      yield* writer.withPermit(Lane.control)(Effect.void)
      assert.strictEqual((yield* writer.status).lastCommitMillis, 5_000)
    })
  )
})

describe("a parameter that cannot be bound", () => {
  it.scoped("fails its own write and none beside it", () =>
    Effect.gen(function* () {
      const { engine, writer } = yield* opened
      engine.stall()
      const running = yield* Effect.fork(writer.write(Lane.control, one("running")))
      yield* settle
      const fine = yield* Effect.fork(writer.write(Lane.control, one("fine")))
      for (const value of [undefined, Number.NaN, true, new Date(0), () => 1, Symbol("s")]) {
        const write = Write.statement("INSERT INTO T VALUES (?, ?)", [1, value as unknown as string])
        const failure = yield* Effect.flip(writer.write(Lane.control, write))
        assert.deepInclude(failure, { _tag: "WriteRejected", code: "PARAMETER", written: "nothing" })
        assert.include(failure.message, "parameter 2 of statement 0")
      }
      engine.resume()
      yield* Fiber.join(running)
      yield* Fiber.join(fine)
      yield* writer.write(Lane.control, Write.statement("…", ["s", 1, 1n, null, new Uint8Array(1)]))
    })
  )
})

describe("a connection", () => {
  it.scoped("has one writer: a second one dies, and a later one is welcome", () =>
    Effect.gen(function* () {
      const engine = yield* SimulatedConnection.make()
      const make = SqliteWriter.make().pipe(Effect.provide(engine.layer))
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* make
          const second = yield* Effect.exit(make)
          assert.include(String(second), "has a writer already")
        })
      )
      yield* make
    })
  )
})
