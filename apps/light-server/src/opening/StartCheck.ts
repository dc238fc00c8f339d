/** Checks a file for damage before it is served. */
import { Clock, Effect, Schema } from "effect"
import * as FileSystem from "node:fs"
import * as DatabaseFile from "../migration/DatabaseFile.ts"

/** The file is damaged, or no database at all. It keeps its bytes. */
export class DatabaseDamaged extends Schema.TaggedError<DatabaseDamaged>("light-server/DatabaseDamaged")(
  "DatabaseDamaged",
  { filename: Schema.String, reason: Schema.String }
) {
  override get message(): string {
    return (
      `${this.filename} is damaged (${this.reason}); move it away together with its -wal and -shm, ` +
      "and put a backup in its place"
    )
  }
}

export interface Options {
  readonly filename: string
  /** After this time no further table is checked. 0: no table is checked. */
  readonly budgetMillis: number
}

const waitLimitMillis = 5000

const tablesOf = (connection: DatabaseFile.Connection) =>
  DatabaseFile.attempt(connection, () =>
    connection.sqlite
      .prepare<[], string>("SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY rowid")
      .pluck()
      .all()
  )

const checkTable = (connection: DatabaseFile.Connection, table: string) =>
  Effect.flatMap(
    DatabaseFile.attempt(connection, () =>
      connection.sqlite.pragma(`quick_check("${table.replaceAll(`"`, `""`)}")`, { simple: true })
    ),
    (verdict) =>
      verdict === "ok"
        ? Effect.void
        : Effect.fail(
            new DatabaseDamaged({ filename: connection.filename, reason: String(verdict).split("\n")[0] ?? "" })
          )
  )

/**
 * Checks that the file is a database, and then its tables one after the other until the time is over. Skipped tables
 * are logged. A file that does not exist is fine. The file is only read.
 *
 * Fails with `DatabaseDamaged`; any other fault of the file is reported when the file is opened for writing.
 */
export const run = ({ budgetMillis, filename }: Options): Effect.Effect<void, DatabaseDamaged> =>
  DatabaseFile.withConnection({ filename, waitLimitMillis }, "readonly", (connection) =>
    Effect.gen(function* () {
      const tables = yield* tablesOf(connection)
      const startedAt = yield* Clock.currentTimeNanos
      for (const [index, table] of tables.entries()) {
        const spentMillis = Number((yield* Clock.currentTimeNanos) - startedAt) / 1e6
        if (spentMillis >= budgetMillis) {
          const skipped = tables.length - index
          return yield* Effect.logInfo(`${skipped} of ${tables.length} tables were not checked for damage`).pipe(
            Effect.annotateLogs("code", "START_CHECK")
          )
        }
        yield* checkTable(connection, table)
      }
    })
  ).pipe(
    Effect.catchTags({
      DatabaseInvalid: ({ reason }) => Effect.fail(new DatabaseDamaged({ filename, reason })),
      DatabaseUnreachable: () => Effect.void,
      DatabaseUnwritable: () => Effect.void,
      MigrationBusy: () => Effect.void
    }),
    Effect.when(() => FileSystem.existsSync(filename)),
    Effect.asVoid
  )
