import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import type { FlushEntry, FlushState } from "../../src/presence/FlushBatch.ts"
import * as FlushBatch from "../../src/presence/FlushBatch.ts"
import { tableNames } from "../../src/sqlite/internal/tableNames.ts"
import * as caseUpdate from "../../src/sqlite/internal/caseUpdate.ts"
import * as Lane from "../../src/writer/Lane.ts"
import { DatabaseFull } from "../../src/writer/WriterError.ts"
import * as SqliteInProcess from "../../src/node/SqliteInProcess.ts"
import type { PresenceKind } from "../../src/presence/PresenceKind.ts"
import * as SqlitePresenceStorage from "../../src/sqlite/SqlitePresenceStorage.ts"
import * as SqliteWriter from "../../src/writer/SqliteWriter.ts"
import * as PresenceStorageContract from "../../src/testing/PresenceStorageContract.ts"
import * as Sqlite from "../support/sqliteStorage.ts"
import { makeFileWorld, stored, tableOf } from "../support/storageFile.ts"
import { layerLog, type Line } from "../support/scriptedStorage.ts"
import { kinds } from "../support/kinds.ts"

const start = 1_800_000_000_000
const hour = 3_600_000
const iso = (millis: number): string => new Date(millis).toISOString().replace("Z", "+00:00")
/** What `CURRENT_TIMESTAMP` writes. */
const blank = (millis: number): string => new Date(millis).toISOString().slice(0, 19).replace("T", " ")

const makeStorage = (engine: Sqlite.Engine, log: Sqlite.WriterLog, options?: Partial<SqlitePresenceStorage.Options>) =>
  SqlitePresenceStorage.make({ kinds, ...options }).pipe(
    Effect.provide(Layer.merge(Sqlite.layerWriter(engine, log), Sqlite.layerReader(engine)))
  )

const makeEngine = Effect.acquireRelease(Effect.sync(Sqlite.open), (engine) => Effect.sync(() => engine.close()))

const makeWorld = (form: (millis: number) => number | string) =>
  Effect.gen(function* () {
    const engine = yield* makeEngine
    for (let index = 0; index < 3; index++) {
      for (const { table } of Object.values(PresenceStorageContract.kinds)) {
        Sqlite.insert(engine, table, { id: `form${index}`, accountId: "x", active: false, at: form(start) })
      }
    }
    return {
      storage: yield* makeStorage(engine, Sqlite.makeLog(), { kinds: PresenceStorageContract.kinds, chunkRows: 60 }),
      insert: (kind, id, accountId, row) =>
        Sqlite.insert(engine, tableOf(kind), { id, accountId, active: row.active, at: form(row.lastActiveMillis) }),
      read: (kind, id, accountId) => {
        const row = stored(engine, kind, id, accountId)
        if (row === undefined) return undefined
        const { lastActiveAt } = row
        const lastActiveMillis = typeof lastActiveAt === "number" ? lastActiveAt : Date.parse(lastActiveAt)
        return { active: row.active === 1, lastActiveMillis }
      },
      chunkRows: 60
    } satisfies PresenceStorageContract.World
  })

PresenceStorageContract.suite(
  { describe, it },
  "SQLite, integer milliseconds",
  makeWorld((millis) => millis)
)
PresenceStorageContract.suite({ describe, it }, "SQLite, ISO text", makeWorld(iso))

PresenceStorageContract.suite({ describe, it }, "SQLite, writer in process", makeFileWorld(SqliteInProcess.layer))

const entry = (id: string, seenAtMillis: number, state: FlushState = "alive"): FlushEntry => ({
  kind: "session",
  id,
  accountId: "a",
  seenAtMillis,
  state
})

describe("SqlitePresenceStorage", () => {
  it.scoped("writes ends, and no signs of life, while the disk has only the reserve left", () =>
    Effect.gen(function* () {
      const full = Number.MAX_SAFE_INTEGER
      const { insert, read, storage } = yield* makeFileWorld(({ filename }) =>
        SqliteInProcess.layer({ filename, freeReserveBytes: full })
      )
      for (const id of ["ended", "silent", "alive"]) {
        insert("session", id, "a", { active: id !== "alive", lastActiveMillis: start })
      }
      yield* TestClock.setTime(start + hour)
      yield* storage.flush(FlushBatch.make([entry("ended", start + 1, "ended")]))
      assert.deepInclude(read("session", "ended", "a"), { active: false })
      yield* storage.markOffline([{ kind: "session", id: "silent", accountId: "a" }], {
        firstMillis: start + 1,
        lastMillis: start + hour
      })
      assert.deepInclude(read("session", "silent", "a"), { active: false })
      const mixed = FlushBatch.make([entry("alive", start + 2), entry("ended", start + 3, "ended")])
      assert.strictEqual((yield* Effect.flip(storage.flush(mixed))).cause.reason, "DatabaseFull")
      assert.deepInclude(read("session", "alive", "a"), { active: false })
    })
  )

  it.scoped("does not revive a row that ended while its heartbeat waited for the permit", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(start)
      const engine = yield* makeEngine
      Sqlite.insert(engine, "Session", { id: "s", accountId: "a", active: true, at: start - 1_000 })
      const log = Sqlite.makeLog()
      const storage = yield* makeStorage(engine, log)
      log.before = () => {
        engine.prepare("UPDATE Session SET active = 0, lastActiveAt = ?").run(start + 9_000)
      }
      const heartbeat = entry("s", start)
      const report = yield* storage.flush(FlushBatch.make([heartbeat]))
      assert.deepStrictEqual(report.superseded, [{ ...heartbeat, storedMillis: start + 9_000 }])
      assert.deepInclude(stored(engine, "session", "s"), { active: 0, lastActiveAt: start + 9_000 })
    })
  )

  for (const [name, own] of [
    ["integer", (millis: number) => millis],
    ["iso", iso]
  ] as const) {
    it.scoped(`compares in milliseconds whatever form a row has, and writes the form of the table: ${name}`, () =>
      Effect.gen(function* () {
        yield* TestClock.setTime(start)
        const engine = yield* makeEngine
        const add = (id: string, at: number | string) =>
          Sqlite.insert(engine, "Session", { id, accountId: "a", active: true, at })
        for (let index = 0; index < 5; index++) add(`own${index}`, own(start))
        const forms = {
          integer: (millis: number) => millis,
          iso,
          zulu: (at: number) => new Date(at).toISOString(),
          blank
        }
        for (const [form, of] of Object.entries(forms)) {
          add(`${form}-older`, of(start - 1_000))
          add(`${form}-newer`, of(start + 1_000))
        }
        const storage = yield* makeStorage(engine, Sqlite.makeLog())
        const ids = Object.keys(forms).flatMap((form) => [`${form}-older`, `${form}-newer`])
        yield* storage.flush(FlushBatch.make(ids.map((id) => entry(id, start + 123, "offline"))))
        for (const [form, of] of Object.entries(forms)) {
          const older = stored(engine, "session", `${form}-older`)
          assert.deepStrictEqual(older, { active: 0, lastActiveAt: own(start + 123), updatedAt: 7 }, form)
          const newer = stored(engine, "session", `${form}-newer`)
          assert.deepStrictEqual(newer, { active: 1, lastActiveAt: of(start + 1_000), updatedAt: 7 }, form)
        }
      })
    )
  }

  it.scoped("finds and marks silent rows in every form", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine
      const forms = {
        integer: (millis: number) => millis,
        iso,
        zulu: (at: number) => new Date(at).toISOString(),
        blank
      }
      for (const [form, of] of Object.entries(forms)) {
        const add = (id: string, at: number) =>
          Sqlite.insert(engine, "Session", { id: `${form}-${id}`, accountId: "a", active: true, at: of(at) })
        add("silent", start - 1_000)
        add("fresh", start)
        add("yesterday", start - 30 * hour)
        add("ahead", start + hour + 1_000)
        add("soon", start + hour)
      }
      const storage = yield* makeStorage(engine, Sqlite.makeLog())
      const believable = { firstMillis: start - 500, lastMillis: start + hour }
      const expected = Object.keys(forms).flatMap((form) => [`${form}-silent`, `${form}-yesterday`, `${form}-ahead`])
      for (const limit of [1, 3, 100]) {
        const found: Array<string> = []
        let page = yield* storage.findStale("session", believable, limit)
        found.push(...page.rows.map(({ key }) => key.id))
        while (page.next !== undefined) {
          page = yield* storage.findStale("session", believable, limit, page.next)
          found.push(...page.rows.map(({ key }) => key.id))
        }
        assert.deepStrictEqual(found.toSorted(), expected.toSorted())
      }
      const { rows } = yield* storage.findStale("session", believable, 100)
      const changed = yield* storage.markOffline(
        rows.map(({ key }) => key),
        believable
      )
      assert.strictEqual(changed.length, expected.length)
      assert.strictEqual(changed.find(({ key }) => key.id === "blank-silent")?.lastSeenMillis, start - 1_000)
      const left = engine.prepare("SELECT count(*) AS n FROM Session WHERE active = 1").get()
      assert.deepStrictEqual(left, { n: 8 })
    })
  )

  it.scoped("puts both tables into one write per chunk, each in the lane presence", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine
      const log = Sqlite.makeLog()
      const storage = yield* makeStorage(engine, log, { chunkRows: 100, chunkHold: "10 millis" })
      const batch = FlushBatch.make(
        Array.from({ length: 201 }, (_, index) => ({
          ...entry(`s${index}`, start),
          kind: index % 2 === 0 ? ("session" as const) : ("machine" as const)
        }))
      )
      const report = yield* storage.flush(batch)
      assert.deepStrictEqual(log.rowCounts, [100, 100, 1])
      assert.deepStrictEqual(log.lanes, ["presence", "presence", "presence"])
      assert.strictEqual(report.chunkCount, 3)
      yield* storage.flush(FlushBatch.make([entry("s0", start)]), Lane.control)
      assert.strictEqual(log.lanes.at(-1), "control")
    })
  )

  it.scoped("writes every row beside one that the database refuses, and says which that is", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine
      const ids = Array.from({ length: 150 }, (_, index) => `s${String(index).padStart(3, "0")}`)
      for (const id of ids) Sqlite.insert(engine, "Session", { id, accountId: "a", active: false, at: 1 })
      const log = Sqlite.makeLog()
      const storage = yield* makeStorage(engine, log, { chunkRows: 50 })
      engine.exec(`CREATE TRIGGER refuse BEFORE UPDATE ON "Session" WHEN old.id = 's075'
        BEGIN SELECT RAISE(ABORT, 'refused'); END`)
      const entries = ids.map((id) => entry(id, start))
      // Neighbours go together, in whatever order their heartbeats came.
      const report = yield* storage.flush(FlushBatch.make(entries.toReversed()))
      assert.deepStrictEqual(
        report.refused?.map(({ id, cause }) => [id, cause.reason]),
        [["s075", "WriteRejected"]]
      )
      assert.deepStrictEqual(
        report.written.map(({ id }) => id),
        ids.filter((id) => id !== "s075")
      )
      const { n } = engine.prepare("SELECT count(*) AS n FROM Session WHERE active = 1").get() as { n: number }
      assert.strictEqual(n, 149)
      assert.isBelow(log.rowCounts.length, 20)
    })
  )

  for (const [which, isRefused] of [
    ["the first", (index: number) => index < 120],
    ["every second", (index: number) => index % 2 === 0]
  ] as const) {
    it.scoped(`writes every row beside many that the database refuses, when those are ${which}`, () =>
      Effect.gen(function* () {
        const engine = yield* makeEngine
        const ids = Array.from({ length: 300 }, (_, index) => `s${String(index).padStart(3, "0")}`)
        const revoked = new Set(ids.filter((_, index) => isRefused(index)))
        for (const id of ids) Sqlite.insert(engine, "Session", { id, accountId: "a", active: false, at: 1 })
        const log = Sqlite.makeLog()
        const storage = yield* makeStorage(engine, log, { chunkRows: 50 })
        engine.exec(`CREATE TABLE Revoked (id TEXT PRIMARY KEY);
          CREATE TRIGGER refuse BEFORE UPDATE ON "Session" WHEN EXISTS (SELECT 1 FROM Revoked WHERE id = old.id)
          BEGIN SELECT RAISE(ABORT, 'revoked'); END`)
        for (const id of revoked) engine.prepare("INSERT INTO Revoked VALUES (?)").run(id)
        const report = yield* storage.flush(FlushBatch.make(ids.map((id) => entry(id, start))))
        const sorted = (entries: ReadonlyArray<{ readonly id: string }> = []) => entries.map(({ id }) => id).toSorted()
        assert.deepStrictEqual(sorted(report.refused), sorted([...revoked].map((id) => ({ id }))))
        assert.deepStrictEqual(
          sorted(report.written),
          ids.filter((id) => !revoked.has(id))
        )
        assert.isBelow(log.rowCounts.length, 2 * ids.length)
      })
    )
  }

  it.scoped("finds a single row that the database accepts among many that it refuses, within a few flushes", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine
      const ids = Array.from({ length: 300 }, (_, index) => `s${String(index).padStart(3, "0")}`)
      for (const id of ids) Sqlite.insert(engine, "Session", { id, accountId: "a", active: false, at: 1 })
      const storage = yield* makeStorage(engine, Sqlite.makeLog(), { chunkRows: 50 })
      engine.exec(`CREATE TRIGGER refuse BEFORE UPDATE ON "Session" WHEN old.id <> 's298'
        BEGIN SELECT RAISE(ABORT, 'refused'); END`)
      const flush = storage.flush(FlushBatch.make(ids.map((id) => entry(id, start))))
      const report = yield* Effect.retry(flush, { times: 9 })
      assert.deepStrictEqual(
        report.written.map(({ id }) => id),
        ["s298"]
      )
      assert.strictEqual(report.refused?.length, 299)
    })
  )

  it.scoped("fails as a whole when the table refuses, without trying each row", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine
      const ids = Array.from({ length: 250 }, (_, index) => `s${String(index).padStart(3, "0")}`)
      for (const id of ids) Sqlite.insert(engine, "Session", { id, accountId: "a", active: false, at: 1 })
      const log = Sqlite.makeLog()
      const storage = yield* makeStorage(engine, log, { chunkRows: 50 })
      engine.exec(`CREATE TRIGGER refuse BEFORE UPDATE ON "Session" BEGIN SELECT RAISE(ABORT, 'refused'); END`)
      const entries = ids.map((id) => entry(id, start))
      const failure = yield* Effect.flip(storage.flush(FlushBatch.make(entries)))
      assert.strictEqual(failure.cause.reason, "WriteRejected")
      assert.deepStrictEqual(failure.report.written, [])
      assert.isUndefined(failure.report.refused)
      assert.isBelow(log.rowCounts.length, 110)
    })
  )

  it.scoped("reports what was committed before a flush that fails", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine
      const ids = Array.from({ length: 100 }, (_, index) => `s${String(index).padStart(3, "0")}`)
      for (const id of ids) Sqlite.insert(engine, "Session", { id, accountId: "a", active: false, at: 1 })
      const log = Sqlite.makeLog()
      const storage = yield* makeStorage(engine, log, { chunkRows: 50 })
      log.before = () => {
        if (log.rowCounts.length === 2) throw new DatabaseFull({ lane: Lane.presence, code: "SQLITE_FULL", detail: "" })
      }
      const entries = ids.map((id) => entry(id, start))
      const failure = yield* Effect.flip(storage.flush(FlushBatch.make(entries)))
      assert.deepStrictEqual(failure.report.written, entries.slice(0, 50))
    })
  )

  it.scoped("shrinks the chunk while it holds the writer too long, and grows it again", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine
      const log = Sqlite.makeLog()
      log.hold = () => 100
      const storage = yield* makeStorage(engine, log, { chunkHold: "10 millis" })
      const batch = FlushBatch.make(Array.from({ length: 2_000 }, (_, index) => entry(`s${index}`, start)))
      yield* storage.flush(batch)
      assert.deepStrictEqual(log.rowCounts.slice(0, 4), [250, 188, 141, 106])
      assert.isTrue(log.rowCounts.slice(10, -1).every((count) => count === 50))
      log.rowCounts.length = 0
      log.hold = () => 1
      for (let round = 0; round < 12; round++) yield* storage.flush(batch)
      assert.strictEqual(Math.max(...log.rowCounts), 2_000)
    })
  )

  it.scoped("refuses names that SQLite cannot quote and sizes out of range, by name", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine
      const failure = yield* Effect.flip(
        makeStorage(engine, Sqlite.makeLog(), {
          kinds: { session: { table: "Ses\u0000sion", id: "" }, machine: { accountId: "x".repeat(129) } },
          chunkRows: 0
        })
      )
      assert.strictEqual(failure._tag, "StorageInvalid")
      assert.match(
        failure.message,
        /session\.table must be a name.*\n- session\.id must be.*\n- machine\.accountId must be.*\n- chunkRows must be/
      )
    })
  )

  it.scoped("fails to build without a table, naming it and those that are there", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine
      engine.exec(`DROP TABLE "Machine"`)
      const failure = yield* Effect.flip(makeStorage(engine, Sqlite.makeLog()))
      assert.strictEqual(failure._tag, "StorageInvalid")
      assert.include(failure.message, 'machine.table: there is no table "Machine", only "')
      assert.include(failure.message, "run your migrations, or name another table")
    })
  )

  it.scoped("works on tables and columns of other names, with the index of its key", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine
      engine.exec(
        `CREATE TABLE agent (key INTEGER PRIMARY KEY, uid TEXT UNIQUE, owner TEXT, "on" INTEGER, seen INTEGER)`
      )
      engine.exec(`INSERT INTO agent VALUES (1, 's', 'a', 0, 5)`)
      const storage = yield* makeStorage(engine, Sqlite.makeLog(), {
        kinds: {
          session: {
            table: "agent",
            id: "uid",
            accountId: "owner",
            active: "on",
            lastActiveAt: "seen",
            timeForm: "detect"
          }
        }
      })
      yield* storage.flush(FlushBatch.make([entry("s", start)]))
      assert.deepStrictEqual(engine.prepare(`SELECT "on", seen FROM agent`).get(), { on: 1, seen: start })
    })
  )

  const options = (table: string): PresenceKind => ({ table, accountId: "accountId" })
  const columns = `accountId TEXT, active INTEGER DEFAULT 1, lastActiveAt INTEGER DEFAULT 0`
  const build = (ddl: string, given?: Partial<SqlitePresenceStorage.Options>) =>
    Effect.gen(function* () {
      const engine = yield* makeEngine
      engine.exec(ddl)
      return {
        engine,
        storage: yield* makeStorage(engine, Sqlite.makeLog(), { kinds: { session: options("D") }, ...given })
      }
    })

  const both = ["accountId", "id"] as const
  for (const [name, ddl, index, key] of [
    ["a primary key", `CREATE TABLE D (id TEXT PRIMARY KEY, ${columns})`, "sqlite_autoindex_D_1"],
    ["an INTEGER PRIMARY KEY", `CREATE TABLE D (id INTEGER PRIMARY KEY, ${columns})`, "INTEGER PRIMARY KEY"],
    ["a unique id", `CREATE TABLE D (pk TEXT PRIMARY KEY, id TEXT UNIQUE, ${columns})`, "sqlite_autoindex_D_2"],
    ["a tenant before", `CREATE TABLE D (t TEXT, id TEXT UNIQUE, ${columns}, PRIMARY KEY (t, id))`, "autoindex_D_1"],
    [
      "a key of both",
      `CREATE TABLE D (id TEXT, ${columns}, PRIMARY KEY (accountId, id)) WITHOUT ROWID`,
      "PRIMARY KEY",
      both
    ],
    [
      "a plain index",
      `CREATE TABLE D (pk INTEGER PRIMARY KEY, id TEXT, ${columns}); CREATE INDEX byId ON D (id)`,
      "byId"
    ]
  ] as const) {
    it.scoped(`finds each row by its key with ${name}`, () =>
      Effect.gen(function* () {
        const plans: Array<string> = []
        const engine = yield* makeEngine
        engine.exec(ddl)
        const layer = Layer.succeed(SqlitePresenceStorage.PresenceReader, {
          query: (sql, params) =>
            Effect.try(() => {
              if (sql.startsWith("EXPLAIN WITH")) {
                const plan = engine.prepare(sql.replace("EXPLAIN", "EXPLAIN QUERY PLAN")).all(...params)
                plans.push(plan.map((row) => (row as { detail: string }).detail).join("\n"))
              }
              return engine.prepare(sql).all(...params)
            })
        })
        yield* SqlitePresenceStorage.make({
          kinds: { session: { ...options("D"), ...(key === undefined ? {} : { key }) } }
        }).pipe(Effect.provide(Layer.merge(Sqlite.layerWriter(engine, Sqlite.makeLog()), layer)))
        const [flush, offline] = plans
        for (const plan of [flush, offline]) {
          assert.match(plan ?? "", /SEARCH D /)
          assert.include(plan ?? "", index)
          assert.notMatch(plan ?? "", /SCAN D/)
        }
      })
    )
  }

  for (const [name, ddl] of [
    ["none", `CREATE TABLE D (pk TEXT PRIMARY KEY, id TEXT, ${columns})`],
    ["one of the account alone", `CREATE TABLE D (id TEXT, ${columns}); CREATE INDEX i ON D (accountId, active)`],
    ["a partial one", `CREATE TABLE D (id TEXT, ${columns}); CREATE INDEX i ON D (id) WHERE active = 1`],
    ["one of an expression", `CREATE TABLE D (id TEXT, ${columns}); CREATE INDEX i ON D (lower(id))`]
  ] as const) {
    it.scoped(`refuses a table without an index on its key, with ${name}, and says how to make one`, () =>
      Effect.gen(function* () {
        const failure = yield* Effect.flip(build(ddl))
        assert.strictEqual(failure._tag, "StorageInvalid")
        assert.match(failure.message, /session\.id: no index of "D" begins with "id".*CREATE INDEX … ON "D"\("id"\)/)
      })
    )
  }

  it.scoped("refuses columns that the table does not have, all of them, by table and name", () =>
    Effect.gen(function* () {
      const failure = yield* Effect.flip(
        build(`CREATE TABLE D (id TEXT PRIMARY KEY, ${columns})`, {
          kinds: { session: { ...options("D"), accountId: "owner", active: "aktive" } }
        })
      )
      assert.strictEqual(failure._tag, "StorageInvalid")
      assert.match(failure.message, /session\.accountId: the table "D" has no column "owner", only "id", "accountId"/)
      assert.match(failure.message, /session\.active: the table "D" has no column "aktive"/)
    })
  )

  it.scoped("refuses lanes that the policy does not have, by name", () =>
    Effect.gen(function* () {
      const failure = yield* Effect.flip(
        build(`CREATE TABLE D (id TEXT PRIMARY KEY, ${columns})`, {
          lane: Lane.make("life"),
          endLane: Lane.make("urgent")
        })
      )
      assert.strictEqual(failure._tag, "StorageInvalid")
      assert.match(failure.message, /- lane: the policy of the writer has no lane life, only control, data/)
      assert.match(failure.message, /- endLane: .* no lane urgent/)
    })
  )

  it.scoped("warns when each sweep would read the whole table", () => {
    const lines: Array<Line> = []
    return Effect.gen(function* () {
      yield* build(`CREATE TABLE D (id TEXT PRIMARY KEY, ${columns})`)
      assert.deepStrictEqual(
        lines.map(({ code, message }) => [code, message]),
        [["PresenceIndexMissing", 'no index on ("active", "lastActiveAt") of "D": each sweep reads the whole table']]
      )
      yield* build(`CREATE TABLE D (id TEXT PRIMARY KEY, ${columns}); CREATE INDEX i ON D (active, lastActiveAt)`)
      assert.lengthOf(lines, 1)
    }).pipe(Effect.provide(layerLog(lines)))
  })

  it.scoped("works on whole numbers as ids, and on a table called entry", () =>
    Effect.gen(function* () {
      const { engine, storage } = yield* build(`CREATE TABLE Entry (id INTEGER PRIMARY KEY, ${columns})`, {
        kinds: { session: options("Entry") }
      })
      engine.exec("INSERT INTO Entry (id, accountId, active, lastActiveAt) VALUES (7, 'a', 0, 1), (8, 'a', 1, 1)")
      const report = yield* storage.flush(FlushBatch.make([entry("7", start), entry("9", start)]))
      assert.deepStrictEqual([report.written, report.missing], [[entry("7", start)], [entry("9", start)]])
      const believable = { firstMillis: start - 1, lastMillis: start + hour }
      const { rows } = yield* storage.findStale("session", believable, 10)
      assert.deepStrictEqual(rows, [{ key: { kind: "session", accountId: "a", id: "8" }, lastSeenMillis: 1 }])
      const changed = yield* storage.markOffline([{ kind: "session", accountId: "a", id: "8" }], believable)
      assert.strictEqual(changed.length, 1)
      assert.deepStrictEqual(engine.prepare("SELECT id, active, lastActiveAt FROM Entry").all(), [
        { id: 7, active: 1, lastActiveAt: start },
        { id: 8, active: 0, lastActiveAt: 1 }
      ])
    })
  )

  it.scoped("names a whole number by its decimal text only, also one that no double holds", () =>
    Effect.gen(function* () {
      const { engine, storage } = yield* build(`CREATE TABLE D (id INTEGER PRIMARY KEY, ${columns})`)
      const large = "9007199254740993"
      engine.exec(`INSERT INTO D (id, accountId) VALUES (7, 'a'), (${large}, 'a')`)
      const wrong = ["007", "7.0", " 7", "9007199254740992"].map((id) => entry(id, start))
      const right = [entry("7", start - 1), entry(large, start - 1)]
      const report = yield* storage.flush(FlushBatch.make([...wrong, ...right]))
      assert.deepStrictEqual([report.written, report.missing], [right, wrong])
      const { rows } = yield* storage.findStale("session", { firstMillis: start, lastMillis: start }, 10)
      assert.sameMembers(
        rows.map(({ key }) => key.id),
        ["7", large]
      )
      const keys = rows.map(({ key }) => key)
      assert.lengthOf(yield* storage.markOffline(keys, { firstMillis: start, lastMillis: start }), 2)
    })
  )

  for (const [name, ddl] of [
    ["a column that ignores case", `CREATE TABLE D (id TEXT COLLATE NOCASE PRIMARY KEY, ${columns})`],
    [
      "an account that ignores case",
      `CREATE TABLE D (id TEXT PRIMARY KEY, ${columns.replace("accountId TEXT", "accountId TEXT COLLATE NOCASE")})`
    ],
    [
      "an index that ignores case",
      `CREATE TABLE D (id TEXT, ${columns}); CREATE UNIQUE INDEX i ON D (id COLLATE NOCASE)`
    ],
    [
      "a column that ignores case, with an index that does not",
      `CREATE TABLE D (id TEXT COLLATE NOCASE, ${columns}); CREATE UNIQUE INDEX i ON D (id COLLATE BINARY)`
    ]
  ] as const) {
    it.scoped(`compares keys byte for byte, with ${name}`, () =>
      Effect.gen(function* () {
        const { engine, storage } = yield* build(ddl)
        engine.exec(`INSERT INTO D (id, accountId) VALUES ('Laptop', 'A')`)
        const exact = { ...entry("Laptop", start - 1), accountId: "A" }
        const others = [
          { ...entry("LAPTOP", start), accountId: "A" },
          { ...entry("Laptop", start), accountId: "a" }
        ]
        const report = yield* storage.flush(FlushBatch.make([others[0]!, exact]))
        assert.deepStrictEqual([report.written, report.missing], [[exact], [others[0]!]])
        assert.deepStrictEqual((yield* storage.flush(FlushBatch.make([others[1]!]))).missing, [others[1]!])
        const believable = { firstMillis: start, lastMillis: start }
        assert.deepStrictEqual(yield* storage.markOffline(others, believable), [])
        assert.lengthOf(yield* storage.markOffline([exact], believable), 1)
        assert.deepStrictEqual(engine.prepare("SELECT lastActiveAt FROM D").all(), [{ lastActiveAt: start - 1 }])
      })
    )
  }

  const refused = (ddl: string, kind: PresenceKind) =>
    Effect.map(
      Effect.flip(build(ddl, { kinds: { session: { ...options("D"), ...kind } } })),
      (failure) => `${failure._tag}: ${failure.message}`
    )

  it.scoped("refuses a key that may name several rows, and says which key to declare", () =>
    Effect.gen(function* () {
      const perAccount = `CREATE TABLE D (id TEXT, ${columns}, PRIMARY KEY (accountId, id))`
      assert.match(
        yield* refused(perAccount, {}),
        /StorageInvalid.*\n- session\.key: "id" of "D" is unique only as a part of "accountId", "id": declare key: \[/
      )
      const perTenant = `CREATE TABLE D (t TEXT, id TEXT, ${columns}, PRIMARY KEY (t, id)); CREATE INDEX i ON D (id)`
      assert.match(yield* refused(perTenant, {}), /session\.key: "id" of "D" is unique only as a part of "t", "id"$/)
      const both = { key: ["accountId", "id"] } as const
      assert.match(
        yield* refused(`CREATE TABLE D (id TEXT, ${columns}); CREATE INDEX i ON D (accountId, id)`, both),
        /session\.key: no unique index of "D" has the columns "accountId", "id" and no others/
      )
      assert.match(
        yield* Effect.map(Effect.flip(build(perAccount, { kinds: { session: { table: "D", ...both } } })), String),
        /session\.key names accountId, so session\.accountId must name a column/
      )
      assert.match(
        yield* Effect.map(Effect.flip(build(perAccount, { kinds: {} })), String),
        /at least one kind must be declared/
      )
      assert.match(
        yield* Effect.map(Effect.flip(build(perAccount, { kinds: { "a kind": options("D") } })), String),
        /a kind must be named by a letter and up to 63 letters, digits, _ and -, got "a kind"/
      )
    })
  )

  it.scoped("refuses times in seconds, which would be taken for times of January 1970", () =>
    Effect.gen(function* () {
      const ddl = `CREATE TABLE D (id TEXT PRIMARY KEY, ${columns});
        INSERT INTO D (id, accountId, lastActiveAt) VALUES ('s', 'a', ${start / 1_000}), ('never', 'a', 0)`
      assert.match(yield* refused(ddl, {}), /session\.lastActiveAt: the times in "lastActiveAt" of "D" are seconds/)
      assert.match(yield* refused(ddl, { timeForm: "integer" }), /are seconds/)
      yield* build(ddl.replace("'never', 'a', 0", `'now', 'a', ${start}`))
    })
  )

  it.scoped("writes one kind alone, and three kinds in one transaction with one statement each", () =>
    Effect.gen(function* () {
      const alone = yield* build(`CREATE TABLE device (id TEXT PRIMARY KEY, active INTEGER, lastActiveAt INTEGER)`, {
        kinds: { device: {} }
      })
      alone.engine.exec("INSERT INTO device VALUES ('d', 0, 0)")
      const device = { kind: "device", id: "d", seenAtMillis: start, state: "alive" as const }
      assert.deepStrictEqual((yield* alone.storage.flush(FlushBatch.make([device]))).written, [device])
      assert.deepStrictEqual(alone.engine.prepare("SELECT active FROM device").pluck().all(), [1])

      const engine = yield* makeEngine
      const statements: Array<number> = []
      const counting = Layer.map(Sqlite.layerWriter(engine, Sqlite.makeLog()), (context) => {
        const writer = Context.get(context, SqliteWriter.SqliteWriter)
        return Context.make(SqliteWriter.SqliteWriter, {
          ...writer,
          writeMeasured: (lane, write) => {
            statements.push(write.statements.length)
            return writer.writeMeasured(lane, write)
          }
        })
      })
      const three = {
        session: PresenceStorageContract.kinds.session,
        sensor: PresenceStorageContract.kinds.sensor,
        laptop: PresenceStorageContract.kinds.laptop
      }
      const storage = yield* SqlitePresenceStorage.make({ kinds: three }).pipe(
        Effect.provide(Layer.merge(counting, Sqlite.layerReader(engine)))
      )
      const entries = Array.from({ length: 30 }, (_, index): FlushEntry => {
        const id = `r${index}`
        if (index % 3 === 0) return entry(id, start)
        if (index % 3 === 1) return { kind: "sensor", id, seenAtMillis: start, state: "alive" }
        return { ...entry(id, start), kind: "laptop" }
      })
      for (const { id, kind } of entries) {
        Sqlite.insert(engine, tableOf(kind as PresenceStorageContract.ContractKind), {
          id,
          accountId: "a",
          active: false,
          at: 1
        })
      }
      assert.lengthOf((yield* storage.flush(FlushBatch.make(entries))).written, 30)
      assert.deepStrictEqual(statements, [3])
    })
  )

  it.scoped("sweeps rows whose time is missing or no time, page by page", () =>
    Effect.gen(function* () {
      const { engine, storage } = yield* build(`CREATE TABLE D (id TEXT PRIMARY KEY, ${columns})`)
      for (const [index, at] of ["NULL", "'zzz'", "''", "x'00'", "x''", "NULL", `${start}`].entries()) {
        engine.exec(`INSERT INTO D (id, accountId, lastActiveAt) VALUES ('r${index}', 'a', ${at})`)
      }
      const believable = { firstMillis: start - 1, lastMillis: start + hour }
      for (const limit of [1, 2, 100]) {
        const found: Array<string> = []
        let page = yield* storage.findStale("session", believable, limit)
        found.push(...page.rows.map(({ key }) => key.id))
        while (page.next !== undefined) {
          page = yield* storage.findStale("session", believable, limit, page.next)
          found.push(...page.rows.map(({ key }) => key.id))
        }
        assert.deepStrictEqual(found.toSorted(), ["r0", "r1", "r2", "r3", "r4", "r5"])
      }
      const { rows } = yield* storage.findStale("session", believable, 100)
      const changed = yield* storage.markOffline(
        rows.map(({ key }) => key),
        believable
      )
      assert.deepStrictEqual(
        changed.map(({ lastSeenMillis }) => lastSeenMillis),
        [0, 0, 0, 0, 0, 0]
      )
      yield* storage.flush(FlushBatch.make([entry("r0", start), entry("r3", start)]))
      assert.deepStrictEqual(engine.prepare("SELECT id FROM D WHERE active = 1 ORDER BY id").pluck().all(), [
        "r0",
        "r3",
        "r6"
      ])
    })
  )

  describe("the plan", () => {
    const shape: caseUpdate.TableShape = {
      ...tableNames("Session", kinds.session),
      idForm: { isText: true, collation: "BINARY" },
      accountForm: { isText: true, collation: undefined },
      timeForm: "integer",
      keyIndex: "sqlite_autoindex_Session_1",
      sweepIndex: "Session_active_lastActiveAt_idx"
    }
    const planOf = (engine: Sqlite.Engine, sql: string, params: ReadonlyArray<string | number>): string =>
      (engine.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...params) as Array<{ detail: string }>)
        .map(({ detail }) => detail)
        .join("\n")

    for (const analyzedRows of [0, 1, 2, 5, 500]) {
      it.scoped(`reaches every row by its key with statistics of ${analyzedRows} rows on a table of 20 000`, () =>
        Effect.gen(function* () {
          const engine = yield* makeEngine
          const fill = engine.prepare(
            `WITH RECURSIVE n(value) AS (SELECT ? UNION ALL SELECT value + 1 FROM n WHERE value < ?)
             INSERT INTO "Session" (id, accountId, lastActiveAt, updatedAt) SELECT 's' || value, 'a', 1, 7 FROM n`
          )
          if (analyzedRows > 0) fill.run(1, analyzedRows)
          engine.exec("ANALYZE")
          fill.run(analyzedRows + 1, 20_000)
          for (const plan of [
            planOf(engine, caseUpdate.flushSql(shape), [start, "[]"]),
            planOf(engine, caseUpdate.offlineSql(shape), ["[]", start, start])
          ]) {
            assert.match(plan, /MATERIALIZE entry/)
            assert.match(plan, /SCAN entry\nSEARCH Session USING INDEX sqlite_autoindex_Session_1 \(id=\?\)/)
            assert.notMatch(plan, /SCAN Session/)
          }
          const believable = { firstMillis: start, lastMillis: start }
          for (const { params, sql } of caseUpdate.staleRanges(shape)) {
            // The column is NOT NULL, so SQLite knows that there is nothing to read.
            if (sql.includes("IS NULL")) continue
            assert.match(
              planOf(engine, sql, params(believable, undefined, 500)),
              /USING INDEX Session_active_lastActiveAt_idx \(active=\? AND lastActiveAt[=>]\?/
            )
          }
        })
      )
    }
  })

  it.scoped("writes integer milliseconds into a table that was empty at the start", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine
      const storage = yield* makeStorage(engine, Sqlite.makeLog())
      Sqlite.insert(engine, "Session", { id: "s", accountId: "a", active: false, at: blank(start - hour) })
      yield* storage.flush(FlushBatch.make([entry("s", start)]))
      assert.strictEqual(stored(engine, "session", "s")?.lastActiveAt, start)
    })
  )
})

describe("nextChunkRows", () => {
  it("stays within its bounds, and does not grow after a chunk that was not full", () => {
    assert.strictEqual(SqlitePresenceStorage.nextChunkRows(50, 50, 1_000, 10), 50)
    assert.strictEqual(SqlitePresenceStorage.nextChunkRows(2_000, 2_000, 0, 10), 2_000)
    assert.strictEqual(SqlitePresenceStorage.nextChunkRows(250, 9, 0.1, 10), 250)
    assert.strictEqual(SqlitePresenceStorage.nextChunkRows(250, 9, 20, 10), 188)
  })
})
