/** A real SQLite file that all seeds of one process share, one after the other. */
import Database from "better-sqlite3"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as SqliteInProcess from "presence-effect/node/SqliteInProcess"
import type { EngineFault, WriteAnswer } from "presence-effect/writer/SqliteConnection"
import type { StoredRow } from "./StoredRow.ts"
import type { Statement } from "presence-effect/writer/Write"

export interface SimulatedFile {
  /** Runs a group on the real engine. */
  readonly run: (group: ReadonlyArray<ReadonlyArray<Statement>>) => ReadonlyArray<WriteAnswer> | EngineFault
  readonly query: (sql: string, params: ReadonlyArray<string | number>) => ReadonlyArray<unknown>
  readonly rows: () => ReadonlyArray<StoredRow>
  /** How often the write with this mark was applied. */
  readonly appliedCount: (mark: string) => number
  readonly reset: (rows: ReadonlyArray<StoredRow>) => void
  /** Removes the file. */
  readonly close: () => void
}

const tableDdl = (table: string): string => `
CREATE TABLE "${table}" (
  "id" TEXT NOT NULL PRIMARY KEY,
  "accountId" TEXT NOT NULL,
  "version" INTEGER NOT NULL DEFAULT 0,
  "messages" INTEGER NOT NULL DEFAULT 0,
  "active" BOOLEAN NOT NULL DEFAULT true,
  "lastActiveAt" DATETIME NOT NULL
);
CREATE INDEX "${table}_active_lastActiveAt_idx" ON "${table}"("active", "lastActiveAt");`

// Without a unique constraint on purpose: a write that is applied twice must show.
const ddl = `${tableDdl("Session")}${tableDdl("Machine")} CREATE TABLE "Ledger" ("mark" TEXT NOT NULL);
CREATE INDEX "Ledger_mark_idx" ON "Ledger"("mark");`

const rowsSql = ["Session", "Machine"]
  .map((table) => `SELECT '${table.toLowerCase()}' AS kind, id, accountId, active, lastActiveAt FROM "${table}"`)
  .join(" UNION ALL ")

interface Columns {
  readonly kind: "session" | "machine"
  readonly id: string
  readonly accountId: string
  readonly active: number
  readonly lastActiveAt: number
}

export const open = (): SimulatedFile => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "presence-simulation-"))
  const filename = path.join(directory, "simulated.sqlite")
  const other = new Database(filename)
  other.pragma("journal_mode = WAL")
  other.exec(ddl)
  // What it writes between two seeds needs to survive nothing.
  other.pragma("synchronous = OFF")
  const scope = Effect.runSync(Scope.make())
  const connection = Effect.runSync(Scope.extend(SqliteInProcess.make({ filename }), scope))
  const count = other.prepare<[string], { readonly n: number }>('SELECT count(*) AS n FROM "Ledger" WHERE mark = ?')
  const all = other.prepare<[], Columns>(rowsSql)
  const prepared = new Map<string, Database.Statement<Array<string | number>>>()
  let seedCount = 0
  return {
    // The simulated box has no power failures, so writes need not wait for the disk.
    run: (group) => Either.merge(Effect.runSync(Effect.either(connection.run(group, "process-crash")))),
    query: (sql, params) => {
      let statement = prepared.get(sql)
      if (statement === undefined) prepared.set(sql, (statement = other.prepare<Array<string | number>>(sql)))
      return statement.all(...params)
    },
    rows: () =>
      all.all().map(({ accountId, active, id, kind, lastActiveAt }) => ({
        kind,
        accountId,
        id,
        isActive: active === 1,
        lastMillis: lastActiveAt
      })),
    appliedCount: (mark) => count.get(mark)?.n ?? 0,
    reset: (rows) => {
      other.exec('BEGIN; DELETE FROM "Session"; DELETE FROM "Machine"; DELETE FROM "Ledger"; COMMIT')
      for (const { accountId, id, isActive, kind, lastMillis } of rows) {
        const table = kind === "session" ? "Session" : "Machine"
        other
          .prepare(`INSERT INTO "${table}" (id, accountId, active, lastActiveAt) VALUES (?, ?, ?, ?)`)
          .run(id, accountId, isActive ? 1 : 0, lastMillis)
      }
      if (seedCount++ % 50 === 49) other.pragma("wal_checkpoint(TRUNCATE)")
    },
    close: () => {
      Effect.runSync(Scope.close(scope, Exit.void))
      other.close()
      fs.rmSync(directory, { recursive: true, force: true })
    }
  }
}
