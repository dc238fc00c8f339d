/** Whether a copy of a database can be trusted: read from its first page to its last. */
import { Effect } from "effect"
import * as DatabaseFile from "../migration/DatabaseFile.ts"
import * as DatabaseCopy from "./DatabaseCopy.ts"

const waitLimitMillis = 5000

const problemOf = (
  { sqlite }: DatabaseFile.Connection,
  expected: ReadonlyMap<string, number> | undefined
): string | undefined => {
  const integrity = String(sqlite.pragma("integrity_check(1)", { simple: true }))
  if (integrity !== "ok") return `it is damaged (${integrity})`
  const [orphan] = sqlite.pragma("foreign_key_check") as ReadonlyArray<{
    readonly table: string
    readonly parent: string
  }>
  if (orphan !== undefined) return `a row of ${orphan.table} refers to a row of ${orphan.parent} that is missing`
  const counts = DatabaseCopy.countRows(sqlite)
  if (counts.size === 0) return "it holds no tables"
  for (const [table, count] of expected ?? []) {
    if (counts.get(table) !== count) return `${table} has ${counts.get(table) ?? "no"} rows instead of ${count}`
  }
  return undefined
}

/** The first problem with the file, if there is one. `expected`: rows by table that it has to hold. */
export const run = (filename: string, expected?: ReadonlyMap<string, number>): Effect.Effect<string | undefined> =>
  DatabaseFile.withConnection({ filename, waitLimitMillis }, "readonly", (connection) =>
    DatabaseFile.attempt(connection, () => problemOf(connection, expected))
  ).pipe(Effect.catchAll((failure) => Effect.succeed(failure.message)))
