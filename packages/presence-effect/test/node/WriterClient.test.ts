import * as Model from "@effect/sql/Model"
import * as SqlClient from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import * as SqlResolver from "@effect/sql/SqlResolver"
import { assert, describe, it } from "@effect/vitest"
import Database from "better-sqlite3"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as fs from "node:fs"
import * as path from "node:path"
import * as SqliteInProcess from "../../src/node/SqliteInProcess.ts"
import * as SqliteThread from "../../src/node/SqliteThread.ts"
import * as WriterClient from "../../src/node/WriterClient.ts"
import * as Lane from "../../src/writer/Lane.ts"
import { SqliteConnection } from "../../src/writer/SqliteConnection.ts"
import * as SqliteWriter from "../../src/writer/SqliteWriter.ts"
import * as Write from "../../src/writer/Write.ts"
import { isWriterError, type WriterError } from "../../src/writer/WriterError.ts"
import { readRows, temporaryDatabase, temporaryDirectory } from "../support/temporaryFile.ts"

const schema = `
CREATE TABLE Machine (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE Note (id INTEGER PRIMARY KEY, machineId INTEGER REFERENCES Machine(id) DEFERRABLE INITIALLY DEFERRED);
CREATE TRIGGER poison BEFORE INSERT ON Machine WHEN new.name = 'poison' BEGIN SELECT RAISE(ROLLBACK, 'poisoned'); END;
INSERT INTO Machine VALUES (1, 'one')`

const connections = { inProcess: SqliteInProcess.layer, thread: SqliteThread.layer }

const houseOf = (
  filename: string,
  options: Partial<WriterClient.WriterClientOptions> = {},
  connection = SqliteInProcess.layer
) =>
  WriterClient.layer({ filename, ...options }).pipe(
    Layer.provideMerge(SqliteWriter.layer()),
    Layer.provideMerge(connection({ filename }))
  )

/** Runs a test with a client over a fresh file. */
const test = (
  title: string,
  body: (
    filename: string
  ) => Effect.Effect<unknown, unknown, SqlClient.SqlClient | SqliteWriter.SqliteWriter | SqliteConnection>,
  options: Partial<WriterClient.WriterClientOptions> = {}
) =>
  it.scoped(title, () =>
    Effect.flatMap(temporaryDatabase(schema), (filename) => Effect.provide(body(filename), houseOf(filename, options)))
  )

const names = (filename: string) => readRows(filename, "SELECT name FROM Machine ORDER BY id").map(({ name }) => name)

/** The failure of the writer inside an `SqlError`. */
const causeOf = (error: unknown): WriterError => {
  assert.instanceOf(error, SqlError)
  const { cause, message } = error as SqlError
  if (!isWriterError(cause)) return assert.fail(`no failure of the writer: ${String(cause)}`)
  assert.strictEqual(message, cause.message)
  return cause
}

class Machine extends Model.Class<Machine>("Machine")({
  id: Model.Generated(Schema.Number),
  name: Schema.String
}) {}

describe("WriterClient", () => {
  it.scopedLive.each(Object.entries(connections))(
    "runs a repository of @effect/sql unchanged over %s",
    ([, connection]) =>
      Effect.gen(function* () {
        const filename = yield* temporaryDatabase(schema)
        const program = Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const repository = yield* Model.makeRepository(Machine, {
            tableName: "Machine",
            spanPrefix: "M",
            idColumn: "id"
          })
          const inserted = yield* repository.insert(Machine.insert.make({ name: "two" }))
          assert.deepStrictEqual({ ...inserted }, { id: 2, name: "two" })
          yield* repository.update(Machine.update.make({ id: 2, name: "second" }))
          assert.strictEqual(
            (yield* repository.findById(2)).pipe((found) => (found._tag === "Some" ? found.value.name : "")),
            "second"
          )
          const byId = yield* SqlResolver.findById("ById", {
            Id: Schema.Number,
            Result: Machine,
            ResultId: ({ id }) => id,
            execute: (ids) => sql`SELECT * FROM Machine WHERE ${sql.in("id", ids)}`
          })
          const found = yield* Effect.all([byId.execute(1), byId.execute(2), byId.execute(3)], { batching: true })
          assert.deepStrictEqual(
            found.map((one) => (one._tag === "Some" ? one.value.name : undefined)),
            ["one", "second", undefined]
          )
          yield* repository.delete(1)
        })
        yield* Effect.provide(program, houseOf(filename, {}, connection))
        assert.deepStrictEqual(names(filename), ["second"])
      })
  )

  test("reads without the permit, and writes each other statement in its lane", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const writer = yield* SqliteWriter.SqliteWriter
      const released = yield* Deferred.make<void>()
      const holder = yield* Effect.fork(writer.withPermit(Lane.maintenance)(Deferred.await(released)))
      yield* Effect.yieldNow()
      assert.deepStrictEqual(yield* sql`SELECT name FROM Machine`, [{ name: "one" }])
      assert.deepStrictEqual(yield* sql`WITH t AS (SELECT 1 AS n) SELECT n FROM t`.values, [[1]])
      const insert = (name: string) => sql`INSERT INTO Machine (name) VALUES (${name})`
      const fibers = [
        yield* Effect.fork(insert("a")),
        yield* Effect.fork(insert("b").pipe(WriterClient.withLane(Lane.control))),
        yield* Effect.fork(sql`WITH t AS (SELECT 'c' AS n) INSERT INTO Machine (name) SELECT n FROM t`.raw)
      ]
      yield* TestClock.adjust("1 millis")
      const waiting = Object.fromEntries(
        (yield* writer.status).lanes.map(({ lane, waiterCount }) => [lane, waiterCount])
      )
      assert.deepStrictEqual(waiting, { control: 1, data: 2, presence: 0, maintenance: 0 })
      yield* Deferred.succeed(released, undefined)
      yield* Fiber.join(holder)
      const [first, , third] = yield* Effect.forEach(
        fibers,
        (fiber) => Fiber.join(fiber) as Effect.Effect<unknown, SqlError>
      )
      assert.deepStrictEqual([first, third], [[], { rows: [], changes: 1 }])
      // Control overtook.
      assert.deepStrictEqual(yield* sql`SELECT id FROM Machine WHERE name = 'b'`, [{ id: 2 }])
    }))

  test(
    "has a lane of its own for what withLane does not say",
    (filename) =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        assert.strictEqual(causeOf(yield* Effect.flip(sql`INSERT INTO Machine VALUES (1, 'x')`)).lane, Lane.control)
        assert.strictEqual(
          causeOf(yield* Effect.flip(WriterClient.withLane(Lane.data)(sql`INSERT INTO Machine VALUES (1, 'x')`))).lane,
          Lane.data
        )
        assert.deepStrictEqual(names(filename), ["one"])
      }),
    { lane: Lane.control }
  )

  test("fails with the failure of the writer inside, read or write, and refuses what steers the connection", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const fails = <A>(self: Effect.Effect<A, SqlError>) => Effect.map(Effect.flip(self), causeOf)
      assert.deepInclude(yield* fails(sql`INSERT INTO Machine (name) VALUES ('one')`), {
        _tag: "WriteRejected",
        code: "SQLITE_CONSTRAINT_UNIQUE"
      })
      assert.deepInclude(yield* fails(sql`SELECT * FROM Absent`), {
        _tag: "WriteRejected",
        detail: "no such table: Absent"
      })
      for (const steering of ["BEGIN", "COMMIT", "PRAGMA query_only = 1", "ATTACH 'x' AS y"]) {
        assert.include((yield* fails(sql.unsafe(steering))).message, "must not steer")
        assert.include((yield* fails(sql.withTransaction(sql.unsafe(steering)))).message, "must not steer")
      }
      for (const value of [new Date(0), true, Number.NaN]) {
        const select = sql.unsafe("SELECT ? AS v", [value as unknown as string])
        assert.deepInclude(yield* fails(select), { code: "PARAMETER" })
        assert.deepInclude(yield* fails(sql.withTransaction(select)), { code: "PARAMETER" })
      }
      assert.deepStrictEqual(yield* sql.unsafe("SELECT ? AS v", [undefined as unknown as null]), [{ v: null }])
      // A statement that failed to prepare works once its table exists.
      yield* sql`CREATE TABLE Absent (id)`
      assert.deepStrictEqual(yield* sql`SELECT * FROM Absent`, [])
    }))

  test(
    "keeps integers exact, streams, and transforms names",
    () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const large = 9_007_199_254_740_993n
        const select = sql`SELECT ${large} AS large, ${5} AS small, typeof(${5}) AS kind`
        const row = { LARGE: large, SMALL: 5, KIND: "integer" }
        assert.deepStrictEqual(yield* select, [row])
        assert.deepStrictEqual(yield* sql.withTransaction(select), [row])
        assert.deepStrictEqual(yield* sql`SELECT 1 AS a, 2 AS a`.values, [[1, 2]])
        const safe = Effect.provideService(sql`SELECT 5 AS n`, SqlClient.SafeIntegers, true)
        assert.deepStrictEqual(yield* safe, [{ N: 5n }])
        assert.deepStrictEqual(Chunk.toReadonlyArray(yield* Stream.runCollect(sql`SELECT name FROM Machine`.stream)), [
          { NAME: "one" }
        ])
        assert.deepStrictEqual(yield* sql`INSERT INTO Machine VALUES (7, 'seven') RETURNING id, name`.values, [
          [7, "seven"]
        ])
      }),
    { transformResultNames: (name) => name.toUpperCase() }
  )

  test("has its statements made into writes, to be committed with others", (filename) =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const writer = yield* SqliteWriter.SqliteWriter
      const insert = (id: number, name: string) =>
        Write.fromStatement(sql`INSERT INTO Machine ${sql.insert({ id, name })}`)
      const rename = Write.fromStatement(sql`UPDATE Machine SET name = ${"x"} WHERE id = ${9}`, { changes: 1 })
      const [first] = yield* writer.write(Lane.control, Write.zip(insert(2, "two"), insert(3, "three")))
      assert.strictEqual(first.changes, 1)
      const conflict = yield* Effect.flip(writer.write(Lane.control, Write.zip(insert(4, "four"), rename)))
      assert.deepInclude(conflict, { _tag: "WriteConflict", statement: 1, expected: 1, changed: 0 })
      assert.deepStrictEqual(names(filename), ["one", "two", "three"])
    }))

  describe("withTransaction", () => {
    test("commits all of it or nothing, and sees what it has written", (filename) =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const count = yield* sql.withTransaction(
          Effect.gen(function* () {
            yield* sql`INSERT INTO Machine (name) VALUES ('two')`
            assert.deepStrictEqual(names(filename), ["one"])
            return yield* sql`SELECT count(*) AS n FROM Machine`
          })
        )
        assert.deepStrictEqual(count, [{ n: 2 }])
        const failing = Effect.zipRight(sql`INSERT INTO Machine (name) VALUES ('three')`, Effect.fail("mine"))
        assert.strictEqual(yield* Effect.flip(sql.withTransaction(failing)), "mine")
        const dying = Effect.zipRight(sql`INSERT INTO Machine (name) VALUES ('three')`, Effect.die("mine"))
        const exit = yield* Effect.exit(sql.withTransaction(dying))
        assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
        assert.deepStrictEqual(names(filename), ["one", "two"])
        const status = yield* Effect.flatMap(SqliteWriter.SqliteWriter, ({ status }) => status)
        assert.isUndefined(status.holder)
      }))

    test("goes back to the savepoint of a transaction inside, also of several at once", (filename) =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const insert = (name: string) => sql`INSERT INTO Machine (name) VALUES (${name})`
        const inner = (name: string, fails: boolean) =>
          sql.withTransaction(
            Effect.gen(function* () {
              yield* insert(name)
              yield* Effect.yieldNow()
              yield* Effect.ignore(sql.withTransaction(Effect.zipRight(insert(`${name}-deep`), Effect.fail("deep"))))
              if (fails) return yield* Effect.fail(name)
            })
          )
        yield* sql.withTransaction(
          Effect.gen(function* () {
            yield* insert("before")
            yield* Effect.all(
              [inner("a", false), Effect.ignore(inner("b", true)), inner("c", false), Effect.ignore(inner("d", true))],
              { concurrency: "unbounded" }
            )
            yield* insert("after")
          })
        )
        assert.deepStrictEqual(names(filename), ["one", "before", "a", "c", "after"])
      }))

    test("lets nothing be committed alone once SQLite has rolled the transaction back", (filename) =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const later = sql`INSERT INTO Machine (name) VALUES ('later')`
        const poisoned = Effect.gen(function* () {
          yield* sql`INSERT INTO Machine (name) VALUES ('before')`
          yield* Effect.ignore(sql.withTransaction(sql`INSERT INTO Machine (name) VALUES ('poison')`))
          assert.include(causeOf(yield* Effect.flip(later)).message, "poisoned")
        })
        assert.include(causeOf(yield* Effect.flip(sql.withTransaction(poisoned))).message, "poisoned")
        assert.deepStrictEqual(names(filename), ["one"])
        yield* sql.withTransaction(later)
        assert.deepStrictEqual(names(filename), ["one", "later"])
      }))

    test("fails typed when the commit is refused", (filename) =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const error = yield* Effect.flip(sql.withTransaction(sql`INSERT INTO Note VALUES (1, 99)`))
        assert.deepInclude(causeOf(error), { _tag: "WriteRejected", code: "SQLITE_CONSTRAINT_FOREIGNKEY" })
        assert.deepStrictEqual(readRows(filename, "SELECT * FROM Note"), [])
        yield* sql.withTransaction(sql`INSERT INTO Note VALUES (1, 1)`)
      }))

    test("waits in the lane it begins in, and fails typed when the permit does not come", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const writer = yield* SqliteWriter.SqliteWriter
        const holder = yield* Effect.fork(writer.withPermit(Lane.maintenance)(Effect.never))
        const waiting = yield* Effect.fork(
          Effect.flip(sql.withTransaction(Effect.void).pipe(WriterClient.withLane(Lane.control)))
        )
        yield* TestClock.adjust("499 millis")
        assert.isNull(waiting.unsafePoll())
        yield* TestClock.adjust("1 millis")
        assert.deepInclude(causeOf(yield* Fiber.join(waiting)), { _tag: "PermitTimeout", lane: Lane.control })
        yield* Fiber.interrupt(holder)
      }))

    test("refuses a write of the writer inside, which would wait for itself", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const writer = yield* SqliteWriter.SqliteWriter
        const nested = writer.write(Lane.control, Write.statement("DELETE FROM Machine"))
        assert.deepInclude(yield* Effect.flip(sql.withTransaction(nested)), {
          _tag: "NestedPermit",
          lane: Lane.control,
          holder: Lane.data
        })
      }))

    test("lets its caller go at the hold limit, and keeps the permit", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const { status } = yield* SqliteWriter.SqliteWriter
        const released = yield* Deferred.make<void>()
        const slow = sql.withTransaction(Deferred.await(released)).pipe(WriterClient.withLane(Lane.control))
        const stuck = yield* Effect.fork(Effect.flip(slow))
        yield* TestClock.adjust("500 millis")
        assert.deepInclude(causeOf(yield* Fiber.join(stuck)), { _tag: "WriteUnconfirmed", reason: "hold-limit" })
        assert.strictEqual((yield* status).holder?.lane, Lane.control)
        yield* Deferred.succeed(released, undefined)
        yield* TestClock.adjust("1 millis")
        assert.isUndefined((yield* status).holder)
      }))

    test("rolls back when its caller is interrupted", (filename) =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const entered = yield* Deferred.make<void>()
        const body = Effect.gen(function* () {
          yield* sql`INSERT INTO Machine (name) VALUES ('two')`
          yield* Deferred.succeed(entered, undefined)
          return yield* Effect.never
        })
        const fiber = yield* Effect.fork(sql.withTransaction(body))
        yield* Deferred.await(entered)
        assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
        yield* sql`INSERT INTO Machine (name) VALUES ('three')`
        assert.deepStrictEqual(names(filename), ["one", "three"])
      }))

    test("fails what a fiber asks for that outlives it", (filename) =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const over = yield* Deferred.make<void>()
        const late = Effect.zipRight(Deferred.await(over), sql`INSERT INTO Machine (name) VALUES ('late')`)
        const fiber = yield* sql.withTransaction(Effect.forkDaemon(late))
        yield* Deferred.succeed(over, undefined)
        assert.include(causeOf(yield* Effect.flip(Fiber.join(fiber))).message, "the transaction has ended")
        assert.deepStrictEqual(names(filename), ["one"])
      }))

    it.scopedLive("meets a foreign lock: fails typed within the terms of its lane, and its body never runs", () =>
      Effect.gen(function* () {
        const filename = yield* temporaryDatabase(schema)
        const program = Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const foreign = new Database(filename)
          foreign.exec("BEGIN IMMEDIATE")
          let runs = 0
          const body = Effect.sync(() => ++runs)
          const error = yield* Effect.flip(sql.withTransaction(body).pipe(WriterClient.withLane(Lane.control)))
          const cause = causeOf(error)
          assert.deepInclude(cause, { _tag: "DatabaseBusy", lane: Lane.control })
          assert.isAbove((cause as { readonly attempts?: number }).attempts ?? 0, 1)
          assert.strictEqual(runs, 0)
          const waiting = yield* Effect.fork(sql.withTransaction(body))
          yield* Effect.sleep("20 millis")
          foreign.exec("COMMIT")
          foreign.close()
          assert.strictEqual(yield* Fiber.join(waiting), 1)
          // A failure of the body that looks like a busy database is its own.
          const busy = Object.assign(new Error("mine"), { code: "SQLITE_BUSY" })
          const failing = Effect.suspend(() => Effect.fail([busy, ++runs] as const))
          assert.deepStrictEqual(yield* Effect.flip(sql.withTransaction(failing)), [busy, 2])
        })
        yield* Effect.provide(program, houseOf(filename))
      })
    )

    test("writes into no file that took the place of the first, and stops the writer", (filename) =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const port = yield* SqliteConnection
        fs.copyFileSync(filename, `${filename}.copy`)
        fs.renameSync(`${filename}.copy`, filename)
        const error = yield* Effect.flip(sql.withTransaction(sql`INSERT INTO Machine (name) VALUES ('two')`))
        assert.strictEqual(causeOf(error)._tag, "DatabaseMoved")
        assert.strictEqual((yield* Effect.flip(port.untilStopped)).reason, "Moved")
        assert.deepStrictEqual(names(filename), ["one"])
      }))

    it.scopedLive("goes on to its end when everything around it closes, and takes no other", () =>
      Effect.gen(function* () {
        const filename = yield* temporaryDatabase(schema)
        const scope = yield* Scope.make()
        const context = yield* Scope.extend(Layer.build(houseOf(filename)), scope)
        const sql = Context.get(context, SqlClient.SqlClient)
        const { status } = Context.get(context, SqliteWriter.SqliteWriter)
        const entered = yield* Deferred.make<void>()
        const released = yield* Deferred.make<void>()
        const insert = (name: string) => sql`INSERT INTO Machine (name) VALUES (${name})`
        const running = yield* Effect.fork(
          sql.withTransaction(
            Effect.gen(function* () {
              yield* insert("first")
              yield* Deferred.succeed(entered, undefined)
              yield* Deferred.await(released)
              yield* insert("last")
            })
          )
        )
        yield* Deferred.await(entered)
        const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
        while ((yield* status).state === "open") yield* Effect.yieldNow()
        assert.strictEqual(causeOf(yield* Effect.flip(sql.withTransaction(Effect.void)))._tag, "WriterClosed")
        yield* Deferred.succeed(released, undefined)
        yield* Fiber.join(running)
        yield* Fiber.join(closing)
        // The last connection to close takes the log away.
        assert.isFalse(fs.existsSync(`${filename}-wal`))
        assert.deepStrictEqual(names(filename), ["one", "first", "last"])
      })
    )

    test(
      "leaves the reserve of the disk alone",
      () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          assert.strictEqual(causeOf(yield* Effect.flip(sql.withTransaction(Effect.void)))._tag, "DatabaseFull")
        }),
      { freeReserveBytes: 2 ** 60 }
    )
  })

  it.scopedLive("fails to build when there is no file", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase(schema)
      const absent = path.join(yield* temporaryDirectory, "absent.sqlite")
      const house = WriterClient.layer({ filename: absent }).pipe(
        Layer.provide(SqliteWriter.layer()),
        Layer.provide(SqliteInProcess.layer({ filename }))
      )
      const fault = yield* Effect.flip(Effect.scoped(Layer.build(house)))
      assert.include(fault.message, `cannot open ${absent}: there is no such file`)
    })
  )
})
