import Database from "better-sqlite3"
import { Effect, Layer } from "effect"
import { Lane, Presence, PresenceTables, SqliteWriter, WalKeeper, Write } from "presence-effect"
import * as SqliteReader from "presence-effect/node/SqliteReader"
import * as SqliteThread from "presence-effect/node/SqliteThread"

// What is kept online: devices, in the table `Device`. Each belongs to an account.
const kinds = { device: { table: "Device", accountId: "accountId" } } as const
class Devices extends Presence.Tag("my-server/Devices", kinds)<Devices>() {}
// The file must exist with its tables. A real server runs its migrations here.
const filename = process.argv[2] ?? "presence.sqlite"
new Database(filename).exec(PresenceTables.ddl(kinds)).close()
// When it closes it flushes once more, waits for the running write, and empties the log of the file.
const services = Presence.layerSqlite(Devices).pipe(
  Layer.provide(SqliteReader.layer({ filename })),
  Layer.provideMerge(WalKeeper.layer()),
  Layer.provideMerge(SqliteWriter.layer()),
  Layer.provide(SqliteThread.layer({ filename }))
)
const program = Effect.gen(function* () {
  const writer = yield* SqliteWriter.SqliteWriter
  const devices = yield* Devices
  // A client waits for this write, so it goes in the lane that is served first.
  const insert = Write.statement("INSERT OR IGNORE INTO Device (id, accountId) VALUES ('phone', 'ann')")
  yield* writer.write(Lane.control, insert)
  // In the callback of a socket: no database, no promise. The next tick writes it, together with all others.
  return devices.beat({ kind: "device", accountId: "ann", id: "phone" }, Date.now())
})
console.log("the phone is", await Effect.runPromise(Effect.provide(program, services)))
