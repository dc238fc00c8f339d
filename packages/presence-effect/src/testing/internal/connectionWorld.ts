/** What the cases about a connection need: how to make one, and files that go when the scope closes. */
import Database from "better-sqlite3"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import type { SqliteOptions } from "../../node/SqliteOptions.ts"
import type { EngineFault, SqliteConnection } from "../../writer/SqliteConnection.ts"
import { contractCase } from "./contractCase.ts"

export interface ConnectionWorld {
  /** Opens the write connection of the adapter. */
  readonly make: (
    filename: string,
    options?: Partial<SqliteOptions>
  ) => Effect.Effect<SqliteConnection["Type"], EngineFault, Scope.Scope>
}

export const connectionCase = contractCase<ConnectionWorld>()

export const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "presence-effect-contract-"))),
  (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
)

/** A database file in WAL mode with the statements of `schema`. */
export const temporaryDatabase = (schema: string) =>
  Effect.map(temporaryDirectory, (directory) => {
    const filename = path.join(directory, "test.sqlite")
    const database = new Database(filename)
    database.pragma("journal_mode = WAL")
    database.exec(schema)
    database.close()
    return filename
  })

/** Reads with a connection of its own. */
export const readRows = (filename: string, sql: string): ReadonlyArray<Record<string, unknown>> => {
  const database = new Database(filename, { readonly: true })
  try {
    return database.prepare(sql).all() as ReadonlyArray<Record<string, unknown>>
  } finally {
    database.close()
  }
}
