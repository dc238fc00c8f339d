/** The smallest program: one file, one writer, presence on top. */
import Database from "better-sqlite3"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Lane from "presence-effect/writer/Lane"
import * as SqliteReader from "presence-effect/node/SqliteReader"
import * as SqliteThread from "presence-effect/node/SqliteThread"
import * as Presence from "presence-effect/Presence"
import * as SqliteWriter from "presence-effect/writer/SqliteWriter"
import * as WalKeeper from "presence-effect/sqlite/WalKeeper"
import * as Write from "presence-effect/writer/Write"

// #region program
/** What is kept online: machines, in the table `Machine`. Each belongs to an account. */
export class Machines extends Presence.Tag("my-server/Machines", {
  machine: { table: "Machine", accountId: "accountId" }
})<Machines>() {}

/** Closing it flushes once more, waits for the running write and empties the log file. */
export const houseOf = (filename: string) =>
  Presence.layerSqlite(Machines).pipe(
    Layer.provide(SqliteReader.layer({ filename })),
    Layer.provideMerge(WalKeeper.layer()),
    Layer.provideMerge(SqliteWriter.layer()),
    Layer.provide(SqliteThread.layer({ filename }))
  )

/** A client waits for this write, so it goes in the lane that is served first. */
const register = (accountId: string, id: string) =>
  Write.statement("INSERT INTO Machine (id, accountId) VALUES (?, ?) ON CONFLICT (id) DO NOTHING", [id, accountId])

export const program = Effect.gen(function* () {
  const writer = yield* SqliteWriter.SqliteWriter
  const machines = yield* Machines
  yield* writer.write(Lane.control, register("account-1", "machine-1"))
  // In the callback of a socket: a plain call. The next tick writes it, together with all others.
  machines.beat({ kind: "machine", accountId: "account-1", id: "machine-1" }, Date.now())
  return yield* machines.status
})
// #endregion

/** The tables presence needs. A real server has migrations, and runs them before it opens the writer. */
export const createTables = (filename: string): void => {
  const database = new Database(filename)
  for (const table of ["Session", "Machine"]) {
    database.exec(`
      CREATE TABLE IF NOT EXISTS ${table} (
        id TEXT PRIMARY KEY,
        accountId TEXT NOT NULL,
        active INTEGER NOT NULL DEFAULT 0,
        lastActiveAt INTEGER NOT NULL DEFAULT 0
      )`)
    database.exec(`CREATE INDEX IF NOT EXISTS ${table}Active ON ${table} (active, lastActiveAt)`)
  }
  database.close()
}

export const run = async (filename: string): Promise<Presence.PresenceStatus> => {
  createTables(filename)
  return Effect.runPromise(Effect.provide(program, houseOf(filename)))
}
