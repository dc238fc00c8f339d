import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as SimulatedConnection from "../../src/testing/SimulatedConnection.ts"
import type { EngineService, Fault } from "../../src/writer/Engine.ts"
import { Engine, EngineFault } from "../../src/writer/Engine.ts"
import * as Lane from "../../src/writer/Lane.ts"
import * as SqliteWriter from "../../src/writer/SqliteWriter.ts"
import * as Write from "../../src/writer/Write.ts"
import * as Writer from "../../src/writer/Writer.ts"
import * as WriterPolicy from "../../src/writer/WriterPolicy.ts"

/** Lets every runnable fiber reach its next suspension. No clock is involved. */
const settle = Effect.yieldNow().pipe(Effect.repeatN(64))

/** A commit for each write, so that each has a permit of its own. */
const ungrouped = [Lane.control, Lane.data].reduce<WriterPolicy.WriterPolicy>(
  (policy, lane) => WriterPolicy.withLane(policy, lane, { groupLimit: 1 }),
  WriterPolicy.defaults
)

const one = (name: string) => Write.statement(name)

interface Call {
  readonly names: ReadonlyArray<string>
  readonly limitMillis: number | undefined
  readonly end: Deferred.Deferred<void, EngineFault>
}

/** An engine whose calls end when the test says so. */
const makeEngine = (permits = 4) => {
  const calls: Array<Call> = []
  const engine: EngineService = {
    permits,
    run: (group, _, limitMillis) =>
      Effect.gen(function* () {
        const end = yield* Deferred.make<void, EngineFault>()
        calls.push({ names: group.map(([first]) => first?.sql ?? ""), limitMillis, end })
        yield* Deferred.await(end)
        return group.map((write) => ({ _tag: "Done", results: write.map(() => ({ rows: [], changes: 1 })) }))
      }),
    untilStopped: Effect.never,
    stop: () => Effect.void
  }
  const running = () => calls.filter(({ end }) => !Effect.runSync(Deferred.isDone(end))).flatMap(({ names }) => names)
  const finish = (name: string, outcome: Exit.Exit<void, EngineFault> = Exit.void) =>
    Effect.zipRight(
      Effect.forEach(calls.filter(({ names }) => names.includes(name)).slice(-1), ({ end }) =>
        Deferred.done(end, outcome)
      ),
      settle
    )
  /** A writer that closes waits for what runs. */
  const finishAll = Effect.whileLoop({
    while: () => running().length > 0,
    body: () => finish(running()[0] ?? ""),
    step: () => undefined
  })
  return { calls, engine, running, finish, finishAll }
}

const makeWriter = (engine: EngineService, policy: WriterPolicy.WriterPolicy = ungrouped) =>
  Effect.provideService(Writer.make(policy), Engine, engine)

const lost = (phase: Fault["phase"]) =>
  Exit.fail(new EngineFault({ reason: "Lost", code: "LOST", detail: "it broke", phase }))

describe("Writer", () => {
  it.scoped("runs as many writes at once as the engine has permits, and the others in the order of their lanes", () =>
    Effect.gen(function* () {
      const { engine, finish, running } = makeEngine(3)
      const writer = yield* makeWriter(engine)
      for (const name of ["d1", "d2", "d3", "d4"]) yield* Effect.fork(writer.write(Lane.data, one(name)))
      yield* settle
      yield* Effect.fork(writer.write(Lane.presence, one("p1")))
      yield* settle
      assert.deepStrictEqual(running(), ["d1", "d2"], "the third permit is kept")
      yield* Effect.fork(writer.write(Lane.control, one("c1")))
      yield* Effect.fork(writer.write(Lane.control, one("c2")))
      yield* settle
      assert.deepStrictEqual(running(), ["d1", "d2", "c1"])
      yield* finish("d1")
      assert.deepStrictEqual(running(), ["d2", "c1", "c2"], "the first lane may hold all of them")
      for (const name of ["c1", "c2"]) yield* finish(name)
      assert.deepStrictEqual(running(), ["d2", "d3"])
      for (const name of ["d2", "d3", "d4"]) yield* finish(name)
      assert.deepStrictEqual(running(), ["p1"])
      yield* finish("p1")
      const { holder, lanes } = yield* writer.status
      assert.isUndefined(holder)
      assert.isTrue(lanes.every(({ waiterCount }) => waiterCount === 0))
    })
  )

  it.scoped("gives control a permit at once while slow writes of all other lanes hold theirs", () =>
    Effect.gen(function* () {
      const { engine, finish, finishAll, running } = makeEngine(4)
      const writer = yield* makeWriter(engine)
      for (let index = 0; index < 20; index++) yield* Effect.fork(writer.write(Lane.data, one(`d${index}`)))
      yield* Effect.fork(writer.write(Lane.presence, one("flush")))
      yield* settle
      assert.strictEqual(running().length, 3)
      for (let index = 0; index < 5; index++) {
        const registration = yield* Effect.fork(writer.write(Lane.control, one(`c${index}`)))
        yield* settle
        assert.include(running(), `c${index}`)
        yield* finish(`c${index}`)
        yield* Fiber.join(registration)
      }
      yield* finishAll
    })
  )

  it.scoped("keeps the permit of a write that takes too long, and answers its caller", () =>
    Effect.gen(function* () {
      const { calls, engine, finish, running } = makeEngine(2)
      const writer = yield* makeWriter(engine)
      const slow = yield* Effect.fork(Effect.flip(writer.write(Lane.data, one("slow"))))
      yield* settle
      yield* TestClock.adjust("1 second")
      assert.deepInclude(yield* Fiber.join(slow), { _tag: "WriteUnconfirmed", reason: "hold-limit" })
      assert.strictEqual(calls[0]?.limitMillis, 1_000)
      yield* Effect.fork(writer.write(Lane.data, one("next")))
      yield* settle
      assert.deepStrictEqual(running(), ["slow"])
      assert.deepInclude((yield* writer.status).holder, { lane: Lane.data })
      yield* finish("slow")
      assert.deepStrictEqual(running(), ["next"])
      yield* finish("next")
    })
  )

  it.scoped("tries again what was lost before its commit, and says of the rest that it is unknown", () =>
    Effect.gen(function* () {
      const { calls, engine, finish } = makeEngine(2)
      const writer = yield* makeWriter(engine)
      const written = yield* Effect.fork(writer.writeMeasured(Lane.control, one("a")))
      yield* settle
      yield* finish("a", lost("queued"))
      yield* TestClock.adjust("100 millis")
      yield* finish("a")
      assert.strictEqual((yield* Fiber.join(written)).attempts, 2)
      const unknown = yield* Effect.fork(Effect.flip(writer.write(Lane.control, one("b"))))
      yield* settle
      yield* finish("b", lost("commit"))
      assert.deepInclude(yield* Fiber.join(unknown), { _tag: "WriteUnconfirmed", reason: "connection-lost" })
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(calls.length, 3, "what may be written is not written again")
    })
  )

  it.scoped("runs the writes of a group in the order of what they lock", () =>
    Effect.gen(function* () {
      const { calls, engine, finish, finishAll } = makeEngine(2)
      const writer = yield* makeWriter(engine, WriterPolicy.defaults)
      yield* Effect.fork(writer.write(Lane.data, one("first")))
      yield* settle
      const locks = ["m", undefined, "z", "a", "m"]
      for (const [index, lock] of locks.entries()) {
        const write = lock === undefined ? one(`${index}`) : Write.withLock(one(`${index} ${lock}`), lock)
        yield* Effect.fork(writer.write(Lane.data, write))
      }
      yield* settle
      yield* finish("first")
      assert.deepStrictEqual(calls.at(-1)?.names, ["3 a", "0 m", "4 m", "2 z", "1"])
      yield* finishAll
    })
  )

  it.effect("waits for what runs when it closes, and then answers every caller that is left", () =>
    Effect.gen(function* () {
      const { engine, finish } = makeEngine(3)
      const scope = yield* Scope.make()
      const writer = yield* Scope.extend(makeWriter(engine), scope)
      const fork = (name: string) => Effect.fork(Effect.exit(writer.write(Lane.data, one(name))))
      const [done, stuck, waiting] = [yield* fork("done"), yield* fork("stuck"), yield* fork("waiting")]
      yield* settle
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* settle
      assert.deepInclude(yield* Effect.flip(Effect.flatten(Fiber.join(waiting))), { _tag: "WriterClosed" })
      yield* finish("done")
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(done)))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(closing)
      assert.deepInclude(yield* Effect.flip(Effect.flatten(Fiber.join(stuck))), { _tag: "WriteUnconfirmed" })
      assert.strictEqual((yield* writer.status).state, "closed")
      assert.deepInclude(yield* Effect.flip(writer.write(Lane.control, one("late"))), { _tag: "WriterClosed" })
    })
  )

  it.scoped("is also what the writer of SQLite is, for code that runs on both", () =>
    Effect.gen(function* () {
      const engine = yield* SimulatedConnection.make()
      const layer = Writer.layerSqlite.pipe(Layer.provide(SqliteWriter.layer()), Layer.provide(engine.layer))
      yield* Effect.provide(
        Effect.flatMap(Writer.Writer, (writer) => writer.write(Lane.control, one("a"))),
        layer
      )
      assert.strictEqual(engine.committed.length, 1)
    })
  )
})
