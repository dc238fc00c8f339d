/**
 * Kinds of rows of a program's own: laptops whose names are unique per user only, and sensors that belong to no user.
 * Each kind has its table, and terms where it differs.
 */
import Database from "better-sqlite3"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SqliteReader from "presence-effect/node/SqliteReader"
import * as SqliteThread from "presence-effect/node/SqliteThread"
import * as Presence from "presence-effect/Presence"
import * as SqliteWriter from "presence-effect/writer/SqliteWriter"

// #region kinds
class Devices extends Presence.Tag("my-server/Devices", {
  // The table has the name of the kind. Two users may each have a laptop with the id `work`.
  laptop: { accountId: "userId", key: ["accountId", "id"] },
  // No account column: a key is the kind and the id.
  sensor: { table: "user-sensors", id: "serial", active: "online", lastActiveAt: "seenAt" }
})<Devices>() {}

const devicesOf = (filename: string) =>
  Presence.layerSqlite(Devices, {
    disconnectGrace: "15 seconds",
    // A sensor reports once a minute and keeps no connection.
    kinds: { sensor: { offlineTimeout: "3 minutes", acceptanceWindow: "5 minutes", disconnectGrace: 0 } }
  }).pipe(
    Layer.provide(SqliteReader.layer({ filename })),
    Layer.provide(SqliteWriter.layer()),
    Layer.provide(SqliteThread.layer({ filename }))
  )

const report = Effect.gen(function* () {
  const devices = yield* Devices
  devices.connected({ kind: "laptop", accountId: "user-1", id: "work" })
  devices.connected({ kind: "laptop", accountId: "user-2", id: "work" })
  devices.beat({ kind: "sensor", id: "A7" }, Date.now())
  // One transaction with one statement per kind. Without it the next tick writes.
  yield* devices.flush
})
// #endregion

const createTables = (filename: string): void => {
  const database = new Database(filename)
  database.exec(`
    CREATE TABLE laptop (userId TEXT, id TEXT, active INTEGER, lastActiveAt INTEGER, PRIMARY KEY (userId, id));
    CREATE INDEX laptopActive ON laptop (active, lastActiveAt);
    CREATE TABLE "user-sensors" (serial TEXT PRIMARY KEY, online INTEGER, seenAt INTEGER);
    CREATE INDEX sensorsOnline ON "user-sensors" (online, seenAt);
    INSERT INTO laptop VALUES ('user-1', 'work', 0, 0), ('user-2', 'work', 0, 0), ('user-3', 'work', 0, 0);
    INSERT INTO "user-sensors" VALUES ('A7', 0, 0)`)
  database.close()
}

export const run = async (filename: string): Promise<void> => {
  createTables(filename)
  await Effect.runPromise(Effect.provide(report, devicesOf(filename)))
}
