import Database from "better-sqlite3"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

/** A fresh directory that goes when the scope closes. */
export const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "presence-effect-"))),
  (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
)

/** A database file in WAL mode with the statements of `schema`, gone when the scope closes. */
export const temporaryDatabase = (schema: string) =>
  Effect.map(temporaryDirectory, (directory) => {
    const filename = path.join(directory, "test.sqlite")
    const database = new Database(filename)
    database.pragma("journal_mode = WAL")
    database.exec(schema)
    database.close()
    return filename
  })

/** Reads with a connection of its own, as a stranger would. */
export const readRows = (filename: string, sql: string): ReadonlyArray<Record<string, unknown>> => {
  const database = new Database(filename, { readonly: true })
  try {
    return database.prepare(sql).all() as ReadonlyArray<Record<string, unknown>>
  } finally {
    database.close()
  }
}
