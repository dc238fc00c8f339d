/**
 * A database in memory with the tables of the migrations, and stand-ins for the
 * services that read and write it.
 */
import Sqlite from "better-sqlite3"
import { Context, Effect, Either, Layer } from "effect"
import fs from "node:fs"
import path from "node:path"
import { Writer } from "presence-effect/writer/Writer"
import type { SqlValue, Write } from "presence-effect/writer/Write"
import { WriteConflict, type WriterError, WriteRejected } from "presence-effect/writer/WriterError"
import type * as Lane from "presence-effect/writer/Lane"
import * as DatabaseReader from "../../src/database/DatabaseReader.ts"

const migrations = path.resolve(import.meta.dirname, "../../../../prisma/migrations")

let migrated: Buffer | undefined

/** The bytes of a database with the tables, made once: each test opens a copy. */
const migratedBytes = (): Buffer => {
  if (migrated !== undefined) return migrated
  const sqlite = new Sqlite(":memory:")
  const folders = fs.readdirSync(migrations, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  for (const name of folders.map((folder) => folder.name).toSorted()) {
    sqlite.exec(fs.readFileSync(path.join(migrations, name, "migration.sql"), "utf8"))
  }
  migrated = sqlite.serialize()
  sqlite.close()
  return migrated
}

export class TestDatabase extends Context.Tag("test/TestDatabase")<
  TestDatabase,
  {
    readonly sqlite: Sqlite.Database
    readonly query: (sql: string, ...params: ReadonlyArray<SqlValue>) => ReadonlyArray<Record<string, unknown>>
    /** Lanes of the writes that were asked for, in order. */
    readonly writes: Array<Lane.Lane>
    /** The behaviour of the next write. Cleared by it. */
    nextWrite:
      | { readonly _tag: "Fail"; readonly error: WriterError }
      | { readonly _tag: "Before"; readonly run: () => void }
      /** It begins when the effect has ended. */
      | { readonly _tag: "After"; readonly gate: Effect.Effect<void> }
      /** It is committed, and the caller receives the result when the effect has ended. */
      | { readonly _tag: "Slow"; readonly gate: Effect.Effect<void> }
      /** It is committed, and the caller does not receive the result. */
      | { readonly _tag: "Lost"; readonly error: WriterError }
      /** Its caller does not receive the result: it is committed when the test does so. */
      | { readonly _tag: "Late"; readonly error: WriterError; readonly hold: (commit: Effect.Effect<void>) => void }
      | undefined
    /** The failure of the next read. Cleared by it. */
    nextReadFailure: DatabaseReader.ReadFailed | undefined
    readCount: number
    readonly addAccount: (id: string) => void
  }
>() {}

const open = Effect.acquireRelease(
  Effect.sync(() => {
    const sqlite = new Sqlite(migratedBytes())
    sqlite.pragma("foreign_keys = ON")
    return TestDatabase.of({
      sqlite,
      query: (sql, ...params) => sqlite.prepare(sql).all(...params) as ReadonlyArray<Record<string, unknown>>,
      writes: [],
      nextWrite: undefined,
      nextReadFailure: undefined,
      readCount: 0,
      addAccount: (id) => {
        sqlite
          .prepare(`INSERT INTO "Account" ("id", "publicKey", "createdAt", "updatedAt") VALUES (?, ?, 1, 1)`)
          .run(id, `key of ${id}`)
      }
    })
  }),
  ({ sqlite }) => Effect.sync(() => sqlite.close())
)

class Conflict extends Error {
  readonly statement: number
  readonly changed: number
  constructor(statement: number, changed: number) {
    super("conflict")
    this.statement = statement
    this.changed = changed
  }
}

const commit = <A>(sqlite: Sqlite.Database, lane: Lane.Lane, write: Write<A>): Effect.Effect<A, WriterError> =>
  Effect.suspend((): Effect.Effect<A, WriterError> => {
    try {
      const results = sqlite
        .transaction(() =>
          write.statements.map(({ sql, params, changes }, index) => {
            const statement = sqlite.prepare(sql)
            const rows = statement.reader ? statement.all(...params) : []
            const changed = statement.reader
              ? Number(sqlite.prepare("SELECT changes() AS changed").pluck().get())
              : statement.run(...params).changes
            if (typeof changes === "number" && changed !== changes) throw new Conflict(index, changed)
            return { rows: rows as Array<Record<string, SqlValue>>, changes: changed }
          })
        )
        .immediate()
      return Effect.succeed(Either.getOrThrow(write.decode(results)))
    } catch (cause) {
      if (cause instanceof Conflict) {
        return Effect.fail(new WriteConflict({ lane, statement: cause.statement, expected: 1, changed: cause.changed }))
      }
      const code = cause instanceof Error && "code" in cause ? String(cause.code) : "UNKNOWN"
      return Effect.fail(new WriteRejected({ lane, code, detail: String(cause) }))
    }
  })

const makeWriter = Effect.map(TestDatabase, (database): Writer["Type"] => {
  const write = <A>(lane: Lane.Lane, write: Write<A>) =>
    Effect.suspend(() => {
      database.writes.push(lane)
      const next = database.nextWrite
      database.nextWrite = undefined
      if (next?._tag === "Fail") return Effect.fail(next.error)
      if (next?._tag === "Before") next.run()
      const committed = commit(database.sqlite, lane, write)
      if (next?._tag === "Late") {
        next.hold(Effect.orDie(Effect.asVoid(committed)))
        return Effect.fail(next.error)
      }
      if (next?._tag === "After") return Effect.zipRight(next.gate, committed)
      if (next?._tag === "Slow") return Effect.zipLeft(committed, next.gate)
      return next?._tag === "Lost" ? Effect.zipRight(committed, Effect.fail(next.error)) : committed
    })
  const unused = () => Effect.dieMessage("not used by the server")
  return {
    policy: { lanes: [], bypassLimit: 1 },
    write,
    writeMeasured: unused,
    status: Effect.dieMessage("not used by the server")
  }
})

const makeReader = Effect.map(TestDatabase, (database) =>
  DatabaseReader.fromQuery((sql, params) =>
    Effect.suspend(() => {
      database.readCount += 1
      const failure = database.nextReadFailure
      database.nextReadFailure = undefined
      if (failure !== undefined) return Effect.fail(failure)
      return Effect.try({
        try: () => database.sqlite.prepare(sql).all(...params),
        catch: (cause) => new DatabaseReader.ReadFailed({ code: "SQLITE_ERROR", detail: String(cause) })
      })
    })
  )
)

export const layer: Layer.Layer<TestDatabase | Writer | DatabaseReader.DatabaseReader> = Layer.mergeAll(
  Layer.effect(Writer, makeWriter),
  Layer.effect(DatabaseReader.DatabaseReader, makeReader)
).pipe(Layer.provideMerge(Layer.scoped(TestDatabase, open)))
