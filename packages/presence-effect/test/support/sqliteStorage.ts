/** SQLite for tests of the storage: the two tables, and a writer without lanes on the same connection. */
import Database from "better-sqlite3"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import { PresenceReader } from "../../src/sqlite/SqlitePresenceStorage.ts"
import { SqliteWriter } from "../../src/writer/SqliteWriter.ts"
import type * as Write from "../../src/writer/Write.ts"
import { isWriterError, WriteRejected, WriteUndecodable } from "../../src/writer/WriterError.ts"
import * as WriterPolicy from "../../src/writer/WriterPolicy.ts"

export type Engine = InstanceType<typeof Database>

const tableDdl = (table: string): string => `
CREATE TABLE "${table}" (
  "id" TEXT NOT NULL PRIMARY KEY,
  "accountId" TEXT NOT NULL,
  "metadata" TEXT NOT NULL DEFAULT '{}',
  "active" BOOLEAN NOT NULL DEFAULT true,
  "lastActiveAt" DATETIME NOT NULL,
  "updatedAt" DATETIME NOT NULL
);
CREATE INDEX "${table}_accountId_updatedAt_idx" ON "${table}"("accountId", "updatedAt");
CREATE INDEX "${table}_active_lastActiveAt_idx" ON "${table}"("active", "lastActiveAt");
CREATE UNIQUE INDEX "${table}_accountId_id_key" ON "${table}"("accountId", "id");`

/** Tables that the incident did not know: of rows without an account, and of ids that are unique per account. */
const otherDdl = `
CREATE TABLE "user-sensors" ("id" TEXT PRIMARY KEY, "active" INTEGER, "lastActiveAt" DATETIME, "updatedAt" INTEGER);
CREATE INDEX "user-sensors_active_lastActiveAt_idx" ON "user-sensors"("active", "lastActiveAt");
CREATE TABLE "Laptop" (
  "id" TEXT NOT NULL,
  "accountId" TEXT NOT NULL,
  "active" INTEGER,
  "lastActiveAt" DATETIME,
  "updatedAt" INTEGER,
  PRIMARY KEY ("accountId", "id")
);
CREATE INDEX "Laptop_active_lastActiveAt_idx" ON "Laptop"("active", "lastActiveAt");`

export const ddl = tableDdl("Session") + tableDdl("Machine") + otherDdl

export const open = (filename = ":memory:"): Engine => {
  const engine = new Database(filename)
  engine.pragma("journal_mode = WAL")
  engine.exec(ddl)
  return engine
}

/** Insert a row with a time in any form. */
export const insert = (
  engine: Engine,
  table: "Session" | "Machine" | "Laptop" | "user-sensors",
  row: { readonly id: string; readonly accountId: string; readonly active: boolean; readonly at: number | string }
): void => {
  const key = table === "user-sensors" ? { id: row.id } : { id: row.id, accountId: row.accountId }
  const values = { ...key, active: row.active ? 1 : 0, lastActiveAt: row.at, updatedAt: 7 }
  const columns = Object.keys(values)
  engine
    .prepare(`INSERT INTO "${table}" (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`)
    .run(...Object.values(values))
}

/** What the stand-in ran, for assertions about chunks. */
export interface WriterLog {
  readonly lanes: Array<string>
  readonly rowCounts: Array<number>
  /** How long the next writes pretend to hold, by the number of entries. */
  hold: (rowCount: number) => number
  /** Runs before each write, to fail it or to change the file meanwhile. */
  before: () => void
}

export const makeLog = (): WriterLog => ({ lanes: [], rowCounts: [], hold: () => 10, before: () => undefined })

const runWrite = <A>(engine: Engine, write: Write.Write<A>): ReadonlyArray<Write.StatementResult> => {
  engine.exec("BEGIN IMMEDIATE")
  try {
    const results = write.statements.map(({ params, sql }): Write.StatementResult => {
      const prepared = engine.prepare(sql)
      return prepared.reader
        ? { rows: prepared.all(...params) as Array<Write.Row>, changes: 0 }
        : { rows: [], changes: prepared.run(...params).changes }
    })
    engine.exec("COMMIT")
    return results
  } catch (error) {
    engine.exec("ROLLBACK")
    throw error
  }
}

export const layerWriter = (engine: Engine, log: WriterLog): Layer.Layer<SqliteWriter> =>
  Layer.sync(SqliteWriter, () => {
    const writeMeasured: SqliteWriter["Type"]["writeMeasured"] = (lane, write) =>
      Effect.suspend(() => {
        const rowCount = write.statements.reduce((sum, { params }) => sum + jsonLength(params), 0)
        log.lanes.push(lane)
        log.rowCounts.push(rowCount)
        return Effect.try({
          try: () => {
            log.before()
            return runWrite(engine, write)
          },
          catch: (error) =>
            isWriterError(error) ? error : new WriteRejected({ lane, code: "SQLITE_ERROR", detail: String(error) })
        }).pipe(
          Effect.flatMap((results) =>
            Either.mapLeft(write.decode(results), (error) => new WriteUndecodable({ lane, detail: error.message }))
          ),
          Effect.map((value) => ({
            value,
            waitMillis: 0,
            holdMillis: log.hold(rowCount),
            attempts: 1,
            groupSize: 1
          }))
        )
      })
    return SqliteWriter.of({
      policy: Either.getOrThrow(WriterPolicy.resolve(WriterPolicy.defaults)),
      writeMeasured,
      write: (lane, write) => Effect.map(writeMeasured(lane, write), ({ value }) => value),
      withPermit: () => (self) => self,
      checkpoint: () => Effect.dieMessage("not here"),
      compact: () => Effect.dieMessage("not here"),
      status: Effect.dieMessage("not here")
    })
  })

const jsonLength = (params: ReadonlyArray<Write.SqlValue>): number => {
  const json = params.find((param) => typeof param === "string")
  return json === undefined ? 0 : (JSON.parse(json) as Array<unknown>).length
}

export const layerReader = (engine: Engine): Layer.Layer<PresenceReader> =>
  Layer.succeed(PresenceReader, {
    query: (sql, params) => Effect.try(() => engine.prepare(sql).all(...params))
  })
