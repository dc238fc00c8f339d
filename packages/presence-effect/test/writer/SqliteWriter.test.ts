import * as SqliteFault from "../../src/sqlite/SqliteFault.ts"
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as Lane from "../../src/writer/Lane.ts"
import * as WriterMetrics from "../../src/writer/WriterMetrics.ts"
import * as SqliteWriter from "../../src/writer/SqliteWriter.ts"
import * as SimulatedConnection from "../../src/testing/SimulatedConnection.ts"
import * as WriterProbe from "../../src/testing/WriterProbe.ts"
import * as Write from "../../src/writer/Write.ts"
import * as WriterPolicy from "../../src/writer/WriterPolicy.ts"

/** Lets every runnable fiber reach its next suspension. No clock is involved. */
const settle = Effect.yieldNow().pipe(Effect.repeatN(64))

const one = (name: string) => Write.statement(`INSERT INTO T VALUES ('${name}')`, [], { changes: 1 })

const withWriter = <A, E>(
  options: SimulatedConnection.SimulatedOptions & { readonly policy?: WriterPolicy.WriterPolicy },
  test: (
    writer: SqliteWriter.SqliteWriter["Type"],
    engine: SimulatedConnection.SimulatedConnection
  ) => Effect.Effect<A, E, SqliteWriter.SqliteWriter>
) =>
  Effect.gen(function* () {
    const engine = yield* SimulatedConnection.make(options)
    const layer = SqliteWriter.layer(options.policy).pipe(Layer.provide(engine.layer))
    return yield* Effect.provide(
      Effect.flatMap(SqliteWriter.SqliteWriter, (writer) => test(writer, engine)),
      layer
    )
  })

const names = (engine: SimulatedConnection.SimulatedConnection) =>
  engine.committed.map(({ writes }) => writes.map((write) => write[0]?.sql.match(/'(.*)'/)?.[1]))

describe("SqliteWriter", () => {
  it.effect("commits a write and decodes what it returned", () =>
    withWriter({ evaluate: () => ({ rows: [{ id: "m1", seq: 3 }], changes: 1 }) }, (writer) =>
      Effect.gen(function* () {
        const write = Write.statement("UPDATE Machine SET seq = seq + 1 RETURNING id, seq").pipe(
          Write.decodeRows(Schema.Struct({ id: Schema.String, seq: Schema.Number }))
        )
        assert.deepStrictEqual(yield* writer.write(Lane.control, write), [{ id: "m1", seq: 3 }])
        const measured = yield* writer.writeMeasured(Lane.control, write)
        assert.deepInclude(measured, { attempts: 1, groupSize: 1 })
      })
    )
  )

  it.effect("says that a write is committed when only its rows cannot be decoded", () =>
    withWriter({ evaluate: () => ({ rows: [{ id: 5 }], changes: 1 }) }, (writer) =>
      Effect.gen(function* () {
        const write = Write.decodeRows(Write.statement("…"), Schema.Struct({ id: Schema.String }))
        const error = yield* Effect.flip(writer.write(Lane.control, write))
        assert.deepInclude(error, { _tag: "WriteUndecodable", written: "everything" })
      })
    )
  )

  it.effect("uses the durability of the lane unless the write asks for another", () =>
    withWriter({}, (writer, engine) =>
      Effect.gen(function* () {
        yield* writer.write(Lane.control, one("a"))
        yield* writer.write(Lane.presence, one("b"))
        yield* writer.write(Lane.presence, Write.withDurability(one("c"), "power-loss"))
        assert.deepStrictEqual(
          engine.committed.map(({ durability }) => durability),
          ["power-loss", "process-crash", "power-loss"]
        )
      })
    )
  )

  it.effect("puts writes that wait together in a lane into one commit, as durable as the strictest asks", () =>
    withWriter({ latency: "10 millis" }, (writer, engine) =>
      Effect.gen(function* () {
        const first = yield* Effect.fork(writer.write(Lane.data, one("first")))
        yield* settle
        const rest = yield* Effect.forkAll(["a", "b", "c"].map((name) => writer.writeMeasured(Lane.data, one(name))))
        yield* WriterProbe.awaitWaiting(Lane.data, 3)
        yield* TestClock.adjust("20 millis")
        yield* Fiber.join(first)
        const measured = yield* Fiber.join(rest)
        assert.deepStrictEqual(names(engine), [["first"], ["a", "b", "c"]])
        assert.deepStrictEqual(
          measured.map(({ groupSize }) => groupSize),
          [3, 3, 3]
        )
      })
    )
  )

  it.effect("groups no more than groupLimit, and never across lanes", () =>
    withWriter(
      { latency: "10 millis", policy: WriterPolicy.withLane(WriterPolicy.defaults, Lane.data, { groupLimit: 2 }) },
      (writer, engine) =>
        Effect.gen(function* () {
          const first = yield* Effect.fork(writer.write(Lane.data, one("first")))
          yield* settle
          const all = yield* Effect.forkAll([
            ...["a", "b", "c"].map((name) => writer.write(Lane.data, one(name))),
            writer.write(Lane.control, one("control"))
          ])
          yield* WriterProbe.awaitWaiting(Lane.control, 1)
          yield* TestClock.adjust("50 millis")
          yield* Fiber.join(first)
          yield* Fiber.join(all)
          assert.deepStrictEqual(names(engine), [["first"], ["control"], ["a", "b"], ["c"]])
        })
    )
  )

  it.effect("lets one write of a group fail alone", () =>
    withWriter(
      {
        latency: "10 millis",
        evaluate: ({ sql }) =>
          sql.includes("'bad'")
            ? SqliteFault.make({ code: "SQLITE_CONSTRAINT_UNIQUE", detail: "UNIQUE failed", phase: "statement" })
            : { rows: [], changes: 1 }
      },
      (writer) =>
        Effect.gen(function* () {
          const all = yield* Effect.forEach(["first", "good", "bad", "fine"], (name) =>
            Effect.fork(Effect.exit(writer.write(Lane.control, one(name))))
          )
          yield* WriterProbe.awaitWaiting(Lane.control, 3)
          yield* TestClock.adjust("20 millis")
          const exits = yield* Effect.forEach(all, Fiber.join)
          assert.deepStrictEqual(exits.map(Exit.isSuccess), [true, true, false, true])
          const error = yield* Effect.flip(exits[2] ?? Effect.void)
          assert.deepInclude(error, { _tag: "WriteRejected", code: "SQLITE_CONSTRAINT_UNIQUE" })
        })
    )
  )

  it.effect("fails a write that waits longer than acquireTimeout, and never runs it", () =>
    withWriter({}, (writer, engine) =>
      Effect.gen(function* () {
        engine.stall()
        yield* Effect.fork(Effect.ignore(writer.write(Lane.presence, one("holder"))))
        const waiter = yield* Effect.fork(Effect.flip(writer.write(Lane.control, one("waiter"))))
        yield* WriterProbe.awaitWaiting(Lane.control, 1)
        yield* TestClock.adjust("499 millis")
        assert.isNull(waiter.unsafePoll())
        yield* TestClock.adjust("1 millis")
        assert.deepInclude(yield* Fiber.join(waiter), { _tag: "PermitTimeout", lane: Lane.control, waitedMillis: 500 })
        engine.resume()
        yield* settle
        assert.deepStrictEqual(names(engine), [["holder"]])
      })
    )
  )

  it.effect("frees the caller of a stuck engine at holdLimit and keeps the permit until the engine answers", () =>
    withWriter({}, (writer, engine) =>
      Effect.gen(function* () {
        engine.stall()
        const caller = yield* Effect.fork(Effect.flip(writer.write(Lane.control, one("stuck"))))
        yield* settle
        yield* TestClock.adjust("500 millis")
        assert.deepInclude(yield* Fiber.join(caller), {
          _tag: "WriteUnconfirmed",
          reason: "hold-limit",
          written: "unknown"
        })
        const next = yield* Effect.fork(Effect.flip(writer.write(Lane.control, one("next"))))
        yield* TestClock.adjust("400 millis")
        assert.deepInclude(yield* writer.status, { holder: { lane: Lane.control, sinceMillis: 0 } })
        assert.isNull(next.unsafePoll())
        yield* TestClock.adjust("100 millis")
        assert.strictEqual((yield* Fiber.join(next))._tag, "PermitTimeout")
        assert.strictEqual(engine.callCount(), 1)
        engine.resume()
        yield* settle
        yield* writer.write(Lane.control, one("after"))
        assert.deepStrictEqual(names(engine), [["stuck"], ["after"]])
      })
    )
  )

  it.effect("lets an interrupted caller go at once and takes its waiting write out of the queue", () =>
    withWriter({}, (writer, engine) =>
      Effect.gen(function* () {
        engine.stall()
        const running = yield* Effect.fork(writer.write(Lane.control, one("running")))
        yield* settle
        const waiting = yield* Effect.fork(writer.write(Lane.control, one("waiting")))
        yield* WriterProbe.awaitWaiting(Lane.control, 1)
        yield* Fiber.interrupt(waiting)
        yield* Fiber.interrupt(running)
        assert.isDefined((yield* writer.status).holder)
        engine.resume()
        yield* settle
        assert.deepStrictEqual(names(engine), [["running"]])
        assert.isUndefined((yield* writer.status).holder)
      })
    )
  )

  it.effect("tries again while another connection holds the lock, giving the permit back in between", () =>
    withWriter({}, (writer, engine) =>
      Effect.gen(function* () {
        engine.lock()
        const write = yield* Effect.fork(writer.writeMeasured(Lane.control, one("patient")))
        yield* settle
        yield* TestClock.adjust("300 millis")
        assert.isUndefined((yield* writer.status).holder)
        assert.strictEqual((yield* writer.status).lastFailure?.tag, "DatabaseBusy")
        engine.unlock()
        yield* TestClock.adjust("40 millis")
        const measured = yield* Fiber.join(write)
        assert.isAbove(measured.attempts, 5)
        assert.isUndefined((yield* writer.status).lastFailure)
      })
    )
  )

  it.effect("gives up on a lock that stays, typed, within the deadline of the lane", () =>
    withWriter({}, (writer, engine) =>
      Effect.gen(function* () {
        engine.lock()
        const write = yield* Effect.fork(Effect.flip(writer.write(Lane.control, one("refused"))))
        yield* settle
        yield* TestClock.adjust("2 seconds")
        const error = yield* Fiber.join(write)
        assert.deepInclude(error, { _tag: "DatabaseBusy", written: "nothing" })
        assert.isAbove(engine.callCount(), 10)
        const presence = yield* Effect.flip(writer.write(Lane.presence, one("one try")))
        assert.deepInclude(presence, { _tag: "DatabaseBusy", attempts: 1 })
      })
    )
  )

  it.effect("gives up on a lock in time also when the wall clock is set back meanwhile", () =>
    Effect.gen(function* () {
      const base = yield* Effect.clock
      let wallMillis = 0
      const clock: Clock.Clock = {
        [Clock.ClockTypeId]: Clock.ClockTypeId,
        unsafeCurrentTimeMillis: () => base.unsafeCurrentTimeMillis() + wallMillis,
        unsafeCurrentTimeNanos: () => base.unsafeCurrentTimeNanos(),
        currentTimeMillis: Effect.sync(() => clock.unsafeCurrentTimeMillis()),
        currentTimeNanos: base.currentTimeNanos,
        sleep: (duration) => base.sleep(duration)
      }
      yield* withWriter({}, (writer, engine) =>
        Effect.gen(function* () {
          engine.lock()
          const refused = Effect.flip(writer.write(Lane.control, one("refused")))
          const write = yield* Effect.fork(Effect.withClock(refused, clock))
          yield* settle
          yield* TestClock.adjust("100 millis")
          wallMillis = -3_600_000
          yield* TestClock.adjust("1900 millis")
          assert.isNotNull(write.unsafePoll(), "the caller waits for as long as the clock was set back")
          assert.deepInclude(yield* Fiber.join(write), { _tag: "DatabaseBusy", written: "nothing" })
        })
      )
    })
  )

  it.effect("never tries again what cannot succeed", () =>
    withWriter({}, (writer, engine) =>
      Effect.gen(function* () {
        for (const [code, tag] of [
          ["SQLITE_FULL", "DatabaseFull"],
          ["SQLITE_IOERR_WRITE", "DatabaseIo"],
          ["SQLITE_CORRUPT", "DatabaseCorrupt"],
          ["SQLITE_READONLY", "DatabaseReadonly"],
          ["SQLITE_CONSTRAINT_CHECK", "WriteRejected"],
          ["MOVED", "DatabaseMoved"]
        ] as const) {
          engine.failNext({ code, detail: code, phase: "statement" })
          const before = engine.callCount()
          assert.strictEqual((yield* Effect.flip(writer.write(Lane.control, one("x"))))._tag, tag)
          assert.strictEqual(engine.callCount(), before + 1)
        }
      })
    )
  )

  it.effect("does not claim to know the outcome of a commit that met an input/output error", () =>
    withWriter({}, (writer, engine) =>
      Effect.gen(function* () {
        engine.failNext({ code: "SQLITE_IOERR_FSYNC", detail: "fsync", phase: "commit" })
        assert.deepInclude(yield* Effect.flip(writer.write(Lane.control, one("x"))), {
          _tag: "DatabaseIo",
          written: "unknown"
        })
        engine.failNext({ code: "LOST", detail: "thread died", phase: "commit" })
        assert.deepInclude(yield* Effect.flip(writer.write(Lane.control, one("x"))), {
          _tag: "WriteUnconfirmed",
          reason: "connection-lost"
        })
      })
    )
  )

  it.effect("tries again when the connection was gone before the write reached it", () =>
    withWriter({}, (writer, engine) =>
      Effect.gen(function* () {
        engine.failNext({ code: "LOST", detail: "being started again", phase: "queued" })
        const write = yield* Effect.fork(writer.writeMeasured(Lane.control, one("again")))
        yield* settle
        yield* TestClock.adjust("50 millis")
        assert.strictEqual((yield* Fiber.join(write)).attempts, 2)
      })
    )
  )

  it.effect("refuses at once when the lane is full", () =>
    withWriter(
      { policy: WriterPolicy.withLane(WriterPolicy.defaults, Lane.control, { capacity: 2 }) },
      (writer, engine) =>
        Effect.gen(function* () {
          engine.stall()
          const running = yield* Effect.fork(writer.write(Lane.control, one("running")))
          yield* settle
          const accepted = yield* Effect.forkAll(
            ["a", "b"].map((name) => Effect.ignore(writer.write(Lane.control, one(name))))
          )
          yield* WriterProbe.awaitWaiting(Lane.control, 2)
          const error = yield* Effect.flip(writer.write(Lane.control, one("refused")))
          assert.deepInclude(error, { _tag: "LaneOverflow", waiterCount: 2, capacity: 2 })
          engine.resume()
          yield* Fiber.join(running)
          yield* Fiber.join(accepted)
          assert.deepStrictEqual(names(engine), [["running"], ["a", "b"]])
        })
    )
  )

  it.effect("names the lanes that exist when a write asks for another", () =>
    withWriter({}, (writer) =>
      Effect.gen(function* () {
        const exit = yield* Effect.exit(writer.write(Lane.make("replication"), one("x")))
        assert.include(String(Exit.isFailure(exit) ? exit.cause : ""), "no lane replication, only control, data")
      })
    )
  )

  it.effect("on its end refuses newcomers, sends waiters away and waits for the engine's answer", () =>
    Effect.gen(function* () {
      const engine = yield* SimulatedConnection.make({ latency: "100 millis" })
      const scope = yield* Scope.make()
      const writer = yield* SqliteWriter.make().pipe(Effect.provide(engine.layer), Scope.extend(scope))
      const running = yield* Effect.fork(writer.write(Lane.control, one("running")))
      yield* settle
      const waiting = yield* Effect.fork(Effect.flip(writer.write(Lane.data, one("waiting"))))
      yield* settle
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* settle
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "WriterClosed")
      assert.strictEqual((yield* Effect.flip(writer.write(Lane.control, one("late"))))._tag, "WriterClosed")
      assert.strictEqual((yield* writer.status).state, "draining")
      assert.isNull(closing.unsafePoll())
      yield* TestClock.adjust("100 millis")
      yield* Fiber.join(closing)
      yield* Fiber.join(running)
      assert.strictEqual((yield* writer.status).state, "closed")
    })
  )

  it.effect("waits for the engine's answer also when the program that ends it was interrupted", () =>
    Effect.gen(function* () {
      const engine = yield* SimulatedConnection.make({ latency: "100 millis" })
      const scope = yield* Scope.make()
      const writer = yield* SqliteWriter.make().pipe(Effect.provide(engine.layer), Scope.extend(scope))
      const running = yield* Effect.fork(writer.write(Lane.control, one("running")))
      const program = yield* Effect.fork(Effect.ensuring(Effect.never, Scope.close(scope, Exit.void)))
      yield* settle
      yield* Fiber.interruptFork(program)
      yield* settle
      assert.isNull(program.unsafePoll())
      yield* TestClock.adjust("100 millis")
      yield* Fiber.await(program)
      yield* Fiber.join(running)
    })
  )

  it.effect("ends within its longest hold when the engine never answers, and says that the outcome is unknown", () =>
    Effect.gen(function* () {
      const engine = yield* SimulatedConnection.make()
      const scope = yield* Scope.make()
      const policy = WriterPolicy.withLane(WriterPolicy.defaults, Lane.control, {
        holdLimit: "1 minute",
        deadline: "2 minutes"
      })
      const writer = yield* SqliteWriter.make(policy).pipe(Effect.provide(engine.layer), Scope.extend(scope))
      engine.stall()
      const running = yield* Effect.fork(Effect.flip(writer.write(Lane.control, one("stuck"))))
      yield* settle
      yield* TestClock.adjust("1 second")
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* settle
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(closing)
      assert.strictEqual((yield* Fiber.join(running))._tag, "WriteUnconfirmed")
    })
  )

  it.effect("ends at once when the last grant met a caller that was leaving", () =>
    Effect.gen(function* () {
      for (let budget = 10; budget <= 40; budget += 3) {
        for (let turns = 0; turns <= 8; turns++) {
          const engine = yield* SimulatedConnection.make()
          const scope = yield* Scope.make()
          const writer = yield* SqliteWriter.make().pipe(Effect.provide(engine.layer), Scope.extend(scope))
          engine.stall()
          const holder = yield* Effect.fork(writer.write(Lane.presence, one("holder")))
          yield* settle
          const leaving = yield* writer
            .withPermit(Lane.data)(Effect.void)
            .pipe(Effect.withMaxOpsBeforeYield(budget), Effect.fork)
          yield* settle
          yield* Effect.fork(Fiber.interrupt(leaving))
          engine.resume()
          if (turns > 0) yield* Effect.repeatN(Effect.yieldNow(), turns - 1)
          const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
          yield* settle
          assert.isNotNull(closing.unsafePoll(), `waits for nobody: budget ${budget}, turns ${turns}`)
          yield* Fiber.join(holder)
        }
      }
    })
  )

  it.effect("shows in its metrics how many writes wait and are refused, however they end", () =>
    withWriter({ policy: WriterPolicy.withLane(WriterPolicy.defaults, Lane.data, { capacity: 2 }) }, (writer, engine) =>
      Effect.gen(function* () {
        const depth = Effect.map(Metric.value(WriterMetrics.queueDepth(Lane.data)), ({ value }) => value)
        const count = (outcome: string) =>
          Effect.map(Metric.value(WriterMetrics.writes(Lane.data, outcome)), (state) => state.count)
        const overflows = yield* count("LaneOverflow")
        const timeouts = yield* count("PermitTimeout")
        engine.stall()
        yield* Effect.fork(Effect.ignore(writer.write(Lane.presence, one("holder"))))
        yield* settle
        const write = yield* Effect.fork(Effect.flip(writer.write(Lane.data, one("late"))))
        yield* settle
        assert.strictEqual(yield* depth, 1)
        const opaque = yield* Effect.fork(Effect.flip(writer.withPermit(Lane.data)(Effect.void)))
        yield* settle
        assert.strictEqual(yield* depth, 2)
        yield* Effect.flip(writer.withPermit(Lane.data)(Effect.void))
        yield* Effect.flip(writer.write(Lane.data, one("refused")))
        assert.strictEqual((yield* count("LaneOverflow")) - overflows, 2)
        yield* TestClock.adjust("1500 millis")
        yield* Fiber.join(write)
        yield* Fiber.join(opaque)
        assert.strictEqual(yield* depth, 0)
        assert.strictEqual((yield* count("PermitTimeout")) - timeouts, 2)
        const gone = yield* Effect.fork(writer.withPermit(Lane.data)(Effect.void))
        yield* settle
        assert.strictEqual(yield* depth, 1)
        yield* Fiber.interrupt(gone)
        assert.strictEqual(yield* depth, 0)
      }).pipe(Effect.ensuring(Effect.sync(engine.resume)))
    )
  )

  describe("withPermit", () => {
    it.effect("runs the effect of a host alone, in its lane's turn, with its own failures unchanged", () =>
      withWriter({ latency: "10 millis" }, (writer, engine) =>
        Effect.gen(function* () {
          const order: Array<string> = []
          const write = yield* Effect.fork(writer.write(Lane.data, one("running")))
          yield* settle
          const low = yield* Effect.fork(writer.withPermit(Lane.presence)(Effect.sync(() => order.push("presence"))))
          const high = yield* Effect.fork(
            writer.withPermit(Lane.control)(
              Effect.zipRight(
                Effect.sync(() => order.push(`control after ${engine.committed.length}`)),
                Effect.fail("mine" as const)
              )
            )
          )
          yield* WriterProbe.awaitWaiting(Lane.control, 1)
          yield* TestClock.adjust("10 millis")
          yield* Fiber.join(write)
          assert.strictEqual(yield* Effect.flip(Fiber.join(high)), "mine")
          yield* Fiber.join(low)
          assert.deepStrictEqual(order, ["control after 1", "presence"])
        })
      )
    )

    it.effect("never starts an effect whose caller left the queue or waited too long", () =>
      withWriter({}, (writer, engine) =>
        Effect.gen(function* () {
          engine.stall()
          yield* Effect.fork(Effect.ignore(writer.write(Lane.presence, one("holder"))))
          let hasRun = false
          const body = Effect.sync(() => {
            hasRun = true
          })
          const late = yield* Effect.fork(Effect.flip(writer.withPermit(Lane.control)(body)))
          const gone = yield* Effect.fork(writer.withPermit(Lane.control)(body))
          yield* WriterProbe.awaitWaiting(Lane.control, 2)
          yield* Fiber.interrupt(gone)
          yield* TestClock.adjust("500 millis")
          assert.strictEqual((yield* Fiber.join(late))._tag, "PermitTimeout")
          engine.resume()
          yield* settle
          assert.isFalse(hasRun)
        })
      )
    )

    it.effect("tries again when the host's own client met a busy database, and returns its failure in the end", () =>
      withWriter({}, (writer) =>
        Effect.gen(function* () {
          let attempts = 0
          const busy = { message: "wrapped", cause: { code: "SQLITE_BUSY_SNAPSHOT" } }
          const flaky = Effect.suspend(() => (++attempts < 4 ? Effect.fail(busy) : Effect.succeed("done")))
          const result = yield* Effect.fork(writer.withPermit(Lane.control)(flaky))
          yield* settle
          yield* TestClock.adjust("200 millis")
          assert.strictEqual(yield* Fiber.join(result), "done")
          const never = yield* Effect.fork(Effect.flip(writer.withPermit(Lane.control)(Effect.fail(busy))))
          yield* settle
          yield* TestClock.adjust("2 seconds")
          assert.strictEqual(yield* Fiber.join(never), busy)
        })
      )
    )
  })

  it.effect(
    "never loses the permit and never leaves a caller without an answer, wherever callers are interrupted",
    () =>
      withWriter({}, (writer, engine) =>
        Effect.gen(function* () {
          for (let budget = 10; budget <= 64; budget += 2) {
            for (let turns = 0; turns <= 8; turns++) {
              engine.stall()
              const holder = yield* Effect.fork(writer.write(Lane.presence, one("holder")))
              yield* settle
              const write = yield* writer
                .write(Lane.control, one("write"))
                .pipe(Effect.withMaxOpsBeforeYield(budget), Effect.fork)
              const opaque = yield* writer
                .withPermit(Lane.data)(Effect.void)
                .pipe(Effect.withMaxOpsBeforeYield(budget), Effect.fork)
              yield* settle
              engine.resume()
              yield* Effect.repeatN(Effect.yieldNow(), turns)
              yield* Fiber.interruptAll([write, opaque])
              yield* Fiber.join(holder)
              const next = yield* Effect.fork(writer.write(Lane.maintenance, one("next")))
              yield* settle
              assert.isNotNull(next.unsafePoll(), `permit lost: budget ${budget}, turns ${turns}`)
              assert.isUndefined((yield* writer.status).holder)
            }
          }
        })
      )
  )
})

describe("a program that is interrupted", () => {
  /** Runs the layer in a fiber of its own, as a program does that ends by a signal. */
  const launch = (options: SimulatedConnection.SimulatedOptions = {}) =>
    Effect.gen(function* () {
      const engine = yield* SimulatedConnection.make(options)
      const built = yield* Deferred.make<SqliteWriter.SqliteWriter["Type"]>()
      const layer = Layer.effectDiscard(
        Effect.flatMap(SqliteWriter.SqliteWriter, (writer) => Deferred.succeed(built, writer))
      ).pipe(Layer.provide(SqliteWriter.layer()), Layer.provide(engine.layer))
      const program = yield* Effect.fork(Layer.launch(layer))
      return { engine, program, writer: yield* Deferred.await(built) }
    })

  it.effect("ends when the engine has answered, and so has its caller", () =>
    Effect.gen(function* () {
      const { engine, program, writer } = yield* launch({ latency: "100 millis" })
      const running = yield* Effect.fork(writer.write(Lane.control, one("running")))
      yield* settle
      yield* Fiber.interruptFork(program)
      yield* TestClock.adjust("99 millis")
      assert.isNull(program.unsafePoll())
      assert.strictEqual((yield* writer.status).state, "draining")
      yield* TestClock.adjust("1 millis")
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(program)))
      yield* Fiber.join(running)
      assert.deepStrictEqual(names(engine), [["running"]])
      assert.strictEqual((yield* writer.status).state, "closed")
    })
  )

  it.effect("ends without an answer when the engine is stuck, after its longest hold", () =>
    Effect.gen(function* () {
      const { engine, program, writer } = yield* launch()
      engine.stall()
      const running = yield* Effect.fork(Effect.flip(writer.write(Lane.presence, one("stuck"))))
      yield* settle
      const longestMillis = Math.max(...writer.policy.lanes.map(({ holdLimitMillis }) => holdLimitMillis))
      yield* Fiber.interruptFork(program)
      yield* TestClock.adjust(longestMillis - 1)
      assert.isNull(program.unsafePoll())
      yield* TestClock.adjust(1)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(program)))
      assert.strictEqual((yield* Fiber.join(running))._tag, "WriteUnconfirmed")
      assert.strictEqual((yield* writer.status).state, "closed")
    })
  )
})
