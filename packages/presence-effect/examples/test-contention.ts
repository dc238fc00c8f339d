/**
 * An example test: nine sessions flush over an engine that takes 80 ms for
 * each statement while a machine registers. No file, no thread, no real time.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import * as TestContext from "effect/TestContext"
import * as Lane from "presence-effect/writer/Lane"
import * as Presence from "presence-effect/Presence"
import { PresenceReader } from "presence-effect/sqlite/SqlitePresenceStorage"
import * as SqliteWriter from "presence-effect/writer/SqliteWriter"
import * as SimulatedConnection from "presence-effect/testing/SimulatedConnection"
import * as Write from "presence-effect/writer/Write"

/** What the engine would answer: the flush returns the rows it found, and it finds all of them. */
const evaluate = ({ params, sql }: Write.Statement): Write.StatementResult => {
  const entries: ReadonlyArray<readonly [id: string]> = sql.startsWith("WITH entry")
    ? JSON.parse(String(params[1]))
    : []
  return { rows: entries.map(([id]) => ({ id, active: 1 })), changes: Math.max(1, entries.length) }
}

/** No rows from before: presence starts on empty tables. */
const emptyTables = Layer.succeed(PresenceReader, { query: () => Effect.succeed([]) })

class Sessions extends Presence.Tag("my-server/Sessions", { session: { accountId: "accountId" } })<Sessions>() {}

const sessions = Array.from({ length: 9 }, (_, index) => ({
  kind: "session" as const,
  accountId: "account",
  id: `session ${index}`
}))

/** From the call of a registration to its answer, when it comes 1 ms after the flush has begun. */
const scenario = Effect.gen(function* () {
  // #region scenario
  const engine = yield* SimulatedConnection.make({ statementLatency: "80 millis", evaluate })
  const house = Presence.layerSqlite(Sessions, { interval: "5 seconds" }).pipe(
    Layer.provideMerge(SqliteWriter.layer()),
    Layer.provide([engine.layer, emptyTables])
  )

  const test = Effect.gen(function* () {
    const presence = yield* Sessions
    const writer = yield* SqliteWriter.SqliteWriter
    for (const session of sessions) presence.beat(session, 0)
    yield* TestClock.adjust("5 seconds") // the tick: one statement for nine sessions, it ends at 5 080 ms

    yield* TestClock.adjust("1 millis")
    const calledAt = yield* Clock.currentTimeMillis
    const registration = yield* Effect.fork(
      Effect.zipRight(writer.write(Lane.control, Write.statement("INSERT INTO Machine …")), Clock.currentTimeMillis)
    )
    yield* TestClock.adjust("1 second")
    return { waitedMillis: (yield* Fiber.join(registration)) - calledAt, calls: engine.callCount() }
  })
  return yield* Effect.provide(test, house)
  // #endregion
})

/** Inside `it.effect` the test clock is there already; outside it comes with `TestContext`. */
export const run = (): Promise<{ readonly waitedMillis: number; readonly calls: number }> =>
  Effect.runPromise(Effect.provide(scenario, TestContext.TestContext))
