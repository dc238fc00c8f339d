/** The SQLite that is linked into the driver. */
import Sqlite from "better-sqlite3"
import { Effect, Schema } from "effect"

/**
 * This SQLite can damage a database in WAL mode that several connections use, which is what this server does. Nothing
 * was opened.
 *
 * **Source**: https://sqlite.org/wal.html#walresetbug
 */
export class SqliteAffected extends Schema.TaggedError<SqliteAffected>("light-server/SqliteAffected")(
  "SqliteAffected",
  { version: Schema.String }
) {
  override get message(): string {
    return (
      `SQLite ${this.version} can damage the database when its log starts anew during a checkpoint; ` +
      "it needs 3.51.3 or later, or 3.50.7 or 3.44.6: install the better-sqlite3 that the lock file names"
    )
  }
}

/** The first version with the defect, and the first fixed version of each series. */
const first = [3, 7, 0]
const repaired = [
  [3, 44, 6],
  [3, 50, 7],
  [3, 51, 3]
]

const compare = (left: ReadonlyArray<number>, right: ReadonlyArray<number>): number => {
  const index = right.findIndex((part, position) => part !== (left[position] ?? 0))
  return index === -1 ? 0 : (left[index] ?? 0) - (right[index] ?? 0)
}

/** Whether the version has the race between a checkpoint and a restart of the log. */
export const isAffected = (version: string): boolean => {
  const parts = version.split(".").map(Number)
  if (compare(parts, first) < 0 || compare(parts, repaired.at(-1) ?? []) >= 0) return false
  return !repaired.some((repair) => parts[1] === repair[1] && compare(parts, repair) >= 0)
}

export const linked = (): string => {
  const sqlite = new Sqlite(":memory:")
  try {
    return String(sqlite.prepare("SELECT sqlite_version()").pluck().get())
  } finally {
    sqlite.close()
  }
}

/** Refuses a version with the defect. */
export const demandSound = (version: string): Effect.Effect<void, SqliteAffected> =>
  isAffected(version) ? Effect.fail(new SqliteAffected({ version })) : Effect.void
