import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import * as Lane from "../../src/writer/Lane.ts"
import * as SqliteWriter from "../../src/writer/SqliteWriter.ts"
import * as SimulatedConnection from "../../src/testing/SimulatedConnection.ts"
import * as WriterProbe from "../../src/testing/WriterProbe.ts"
import * as Write from "../../src/writer/Write.ts"

const house = Effect.gen(function* () {
  const engine = yield* SimulatedConnection.make({ latency: "10 millis" })
  const probe = yield* WriterProbe.make
  const layer = probe.layer.pipe(Layer.provide(SqliteWriter.layer()), Layer.provide(engine.layer))
  const context = yield* Layer.build(layer)
  const writer = yield* Effect.provide(SqliteWriter.SqliteWriter, context)
  return { engine, probe, context, writer }
})

/** The end of a writer waits for its engine, and the clock stands still then. */
const engineEnds = TestClock.adjust("1 second")

describe("WriterProbe", () => {
  it.scoped("records calls and answers, in order, on virtual time", () =>
    Effect.gen(function* () {
      const { engine, probe, writer } = yield* house
      const first = yield* Effect.fork(writer.write(Lane.data, Write.zip(Write.statement("a"), Write.statement("b"))))
      yield* TestClock.adjust("4 millis")
      const second = yield* Effect.fork(writer.writeMeasured(Lane.control, Write.statement("c")))
      yield* TestClock.adjust("20 millis")
      yield* Fiber.join(first)
      yield* Fiber.join(second)
      yield* writer.withPermit(Lane.presence)(Effect.void)
      engine.failNext({ code: "SQLITE_FULL", detail: "full", phase: "statement" })
      yield* Effect.flip(writer.write(Lane.maintenance, Write.statement("d")))
      const third = yield* Effect.fork(writer.write(Lane.data, Write.statement("e")))
      yield* Effect.repeatN(Effect.yieldNow(), 16)
      yield* Fiber.interrupt(third)
      yield* engineEnds
      assert.deepStrictEqual(probe.events, [
        { event: "called", lane: Lane.data, atMillis: 0, statements: ["a", "b"] },
        { event: "called", lane: Lane.control, atMillis: 4, statements: ["c"] },
        { event: "answered", lane: Lane.data, atMillis: 10, statements: ["a", "b"] },
        { event: "answered", lane: Lane.control, atMillis: 20, statements: ["c"] },
        { event: "called", lane: Lane.presence, atMillis: 24, statements: [] },
        { event: "answered", lane: Lane.presence, atMillis: 24, statements: [] },
        { event: "called", lane: Lane.maintenance, atMillis: 24, statements: ["d"] },
        { event: "failed", lane: Lane.maintenance, atMillis: 24, statements: ["d"] },
        { event: "called", lane: Lane.data, atMillis: 24, statements: ["e"] },
        { event: "interrupted", lane: Lane.data, atMillis: 24, statements: ["e"] }
      ])
    })
  )

  it.scoped("waits for a state of a lane without moving the clock", () =>
    Effect.gen(function* () {
      const { context, writer } = yield* house
      yield* Effect.fork(writer.write(Lane.control, Write.statement("holder")))
      const seen = yield* Effect.fork(Effect.provide(WriterProbe.awaitWaiting(Lane.data, 2), context))
      yield* Effect.fork(writer.write(Lane.data, Write.statement("one")))
      yield* Effect.repeatN(Effect.yieldNow(), 32)
      assert.isNull(seen.unsafePoll())
      yield* Effect.fork(writer.write(Lane.data, Write.statement("two")))
      yield* Fiber.join(seen)
      assert.strictEqual(yield* Clock.currentTimeMillis, 0)
      yield* engineEnds
    })
  )
})
