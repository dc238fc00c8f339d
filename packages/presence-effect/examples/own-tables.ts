import Database from "better-sqlite3"
import { PresenceTables } from "presence-effect"
import * as PresenceHost from "presence-effect/host/PresenceHost"

// #region kinds
const kinds = {
  // Two rooms may have a seat with the same number.
  seat: { table: "room-seats", id: "number", accountId: "room", key: ["accountId", "id"], active: "taken" },
  visit: { table: "Visit", lastActiveAt: "seenAt", timeForm: "iso" } // as Prisma writes times
} as const
console.log(PresenceTables.ddl(kinds)) // what your migration creates, and your own columns
// #endregion

const filename = process.argv[2] ?? "presence.sqlite"
new Database(filename).exec(PresenceTables.ddl(kinds)).close()

const host = await PresenceHost.start({
  filename,
  kinds,
  presence: { kinds: { visit: { offlineTimeout: "3 minutes" } } }
})
host.connected({ kind: "seat", accountId: "blue", id: "7" })
host.connected({ kind: "visit", id: "first" })
console.log(host.status().presence.trackedCount)
await host.close()
