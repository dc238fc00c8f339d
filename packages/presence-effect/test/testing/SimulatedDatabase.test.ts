import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as Presence from "../../src/Presence.ts"
import * as SimulatedDatabase from "../../src/testing/SimulatedDatabase.ts"
import * as Lane from "../../src/writer/Lane.ts"
import * as SqliteWriter from "../../src/writer/SqliteWriter.ts"
import * as Write from "../../src/writer/Write.ts"
import { session, TestPresence } from "../support/kinds.ts"
import { ddl } from "../support/sqliteStorage.ts"

const insertSession = `INSERT INTO Session (id, accountId, active, lastActiveAt, updatedAt) VALUES (?, 'a', 0, 0, 0)`
const start = 1_800_000_000_000

const houseOn = (database: SimulatedDatabase.SimulatedDatabase) =>
  Presence.layerSqlite(TestPresence, { interval: "5 seconds" }).pipe(
    Layer.provideMerge(SqliteWriter.layer()),
    Layer.provide(database.layer)
  )

describe("SimulatedDatabase", () => {
  it.scoped("flushes the rows that are declared, forgets the one that is not, and keeps the rest tracked", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(start)
      const database = yield* SimulatedDatabase.make({ schema: ddl, latency: "20 millis" })
      for (const id of ["one", "two"]) database.execute(insertSession, [id])
      yield* Effect.gen(function* () {
        const presence = yield* TestPresence
        for (const id of ["one", "two", "nowhere"]) presence.beat(session("a", id), start)
        yield* TestClock.adjust("6 seconds")
        assert.deepStrictEqual(database.query("SELECT id, active, lastActiveAt AS at FROM Session ORDER BY id"), [
          { id: "one", active: 1, at: start },
          { id: "two", active: 1, at: start }
        ])
        assert.deepInclude(yield* presence.status, { trackedCount: 2, pendingCount: 0, consecutiveFlushFailures: 0 })
        assert.isUndefined(presence.lastSeen(session("a", "nowhere")))
        assert.strictEqual(database.engine.committed[0]?.atMillis, start + 5_020)
      }).pipe(Effect.provide(houseOn(database)))
    })
  )

  it.scoped("sweeps what was online before and stays silent", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(start)
      const database = yield* SimulatedDatabase.make({ schema: ddl })
      database.execute(insertSession, ["silent"])
      database.execute("UPDATE Session SET active = 1, lastActiveAt = ?", [start - 3_600_000])
      yield* Effect.provide(TestClock.adjust("12 minutes"), houseOn(database))
      assert.deepStrictEqual(database.query("SELECT active FROM Session"), [{ active: 0 }])
    })
  )

  it.scoped("runs the statements of the host, each write of a group for itself", () =>
    Effect.gen(function* () {
      const database = yield* SimulatedDatabase.make({ schema: "CREATE TABLE Job (id INTEGER PRIMARY KEY, note)" })
      const insert = (id: number) => Write.statement("INSERT INTO Job VALUES (?, 'x') RETURNING id", [id])
      const outcomes = yield* SqliteWriter.SqliteWriter.pipe(
        Effect.flatMap((writer) =>
          Effect.forEach([1, 2, 1, 3], (id) => Effect.either(writer.write(Lane.data, insert(id))), {
            concurrency: "unbounded"
          })
        ),
        Effect.provide(Layer.provide(SqliteWriter.layer(), database.layer))
      )
      assert.deepStrictEqual(
        outcomes.map((outcome) => (outcome._tag === "Right" ? outcome.right.rows : outcome.left._tag)),
        [[{ id: 1 }], [{ id: 2 }], "WriteRejected", [{ id: 3 }]]
      )
      assert.deepStrictEqual(
        database.query("SELECT id FROM Job").map(({ id }) => id),
        [1, 2, 3]
      )
    })
  )

  it.scoped("keeps what fails, stalls or is locked out of the file, and nothing acknowledged is lost", () =>
    Effect.gen(function* () {
      const database = yield* SimulatedDatabase.make({ schema: "CREATE TABLE Job (id INTEGER PRIMARY KEY)" })
      const { engine } = database
      const insert = (id: number) =>
        engine.connection.run([[{ sql: "INSERT INTO Job VALUES (?)", params: [id], changes: 1 }]], "power-loss")
      engine.failNext({ code: "SQLITE_FULL", detail: "disk is full", phase: "statement" })
      assert.strictEqual((yield* Effect.flip(insert(1))).reason, "Full")
      engine.lock()
      assert.strictEqual((yield* Effect.flip(insert(2))).reason, "Busy")
      engine.unlock()
      engine.stall()
      const stalled = yield* Effect.fork(insert(3))
      yield* Effect.repeatN(Effect.yieldNow(), 16)
      assert.deepStrictEqual(database.query("SELECT id FROM Job"), [])
      engine.resume()
      yield* Fiber.join(stalled)
      engine.failNext({ code: "LOST", detail: "the answer", phase: "commit" }, { isCommitted: true })
      assert.strictEqual((yield* Effect.flip(insert(4))).reason, "Lost")
      assert.deepStrictEqual(database.query("SELECT id FROM Job ORDER BY id"), [{ id: 3 }, { id: 4 }])
      assert.deepStrictEqual(
        engine.committed.map(({ durability }) => durability),
        ["power-loss", "power-loss"]
      )
    })
  )

  it.effect("removes its file with the scope, and says what is wrong with a schema", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const database = yield* Scope.extend(SimulatedDatabase.make({ schema: "CREATE TABLE Job (id)" }), scope)
      yield* Scope.close(scope, Exit.void)
      assert.throws(() => database.query("SELECT 1"))
      const fault = yield* Effect.flip(Effect.scoped(SimulatedDatabase.make({ schema: "CREATE TABEL Job (id)" })))
      assert.deepInclude(fault, { reason: "Rejected", phase: "queued" })
      assert.include(fault.detail, 'near "TABEL": syntax error')
    })
  )
})
