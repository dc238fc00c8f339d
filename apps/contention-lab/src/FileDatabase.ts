/** The database of one run in a file of SQLite. */
import Database from "better-sqlite3"
import { Effect } from "effect"
import * as LabDatabase from "./LabDatabase.ts"
import type { RealDatabase } from "./RealDatabase.ts"
import * as SqliteStrategy from "./strategies/SqliteStrategy.ts"

const opened = <A>(filename: string, use: (database: Database.Database) => A): Effect.Effect<A> =>
  Effect.acquireUseRelease(
    Effect.sync(() => new Database(filename)),
    (database) => Effect.sync(() => use(database)),
    (database) => Effect.sync(() => database.close())
  )

export const make = (filename: string): RealDatabase => ({
  prepare: (workload, nowMillis) => opened(filename, (database) => LabDatabase.prepare(database, workload, nowMillis)),
  strategy: (run) => SqliteStrategy.make(run, filename),
  examine: (acknowledged, nowMillis) =>
    opened(filename, (database) => LabDatabase.examine(database, acknowledged, nowMillis))
})
