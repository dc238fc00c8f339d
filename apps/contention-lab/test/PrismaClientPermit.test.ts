/**
 * Goal: a host that writes through Prisma runs its transactions under the permit of the library.
 * Method: a real Prisma client beside writes of the library, over one file, and once under a lock of another process.
 */
import { assert, describe, it } from "@effect/vitest"
import { PrismaBetterSqlite3 } from "@prisma/adapter-better-sqlite3"
import Database from "better-sqlite3"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as PresenceHost from "presence-effect/host/PresenceHost"
import * as Lane from "presence-effect/writer/Lane"
import * as Write from "presence-effect/writer/Write"
import * as PrismaClient from "../src/engines/PrismaClient.ts"

const kinds = {
  session: { table: "Session", accountId: "accountId" },
  machine: { table: "Machine", accountId: "accountId" }
} as const

const house = async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "prisma-permit-"))
  const filename = path.join(folder, "lab.sqlite")
  const database = new Database(filename)
  database.pragma("journal_mode = WAL")
  for (const table of ["Session", "Machine"]) {
    database.exec(`CREATE TABLE ${table} (id TEXT PRIMARY KEY, accountId TEXT, active INTEGER, lastActiveAt INTEGER)`)
    database.exec(`INSERT INTO ${table} VALUES ('one', 'a1', 0, 1)`)
  }
  const host = await PresenceHost.start({ filename, kinds, onLog: () => undefined })
  // Zero: the permit and its retries wait for locks. The client is synchronous and would stop the event loop.
  const adapter = new PrismaBetterSqlite3({ url: `file:${filename}`, timeout: 0 }, { timestampFormat: "unixepoch-ms" })
  const client = PrismaClient.make(PrismaClient.labFolder(), adapter)
  await client.$connect()
  const set = (millis: number, onAttempt = () => {}) => {
    const change = { where: { id: "one" }, data: { active: true, lastActiveAt: new Date(millis) } }
    return host.withPermit(Lane.control, () => {
      onAttempt()
      return client.$transaction([client.session.updateMany(change), client.machine.updateMany(change)])
    })
  }
  return {
    database,
    host,
    set,
    close: async () => {
      await client.$disconnect()
      await host.close()
      database.close()
      fs.rmSync(folder, { recursive: true })
    }
  }
}

describe("Prisma under the permit", () => {
  it("runs its transactions beside writes of the library, and none meets a lock", async () => {
    const { close, database, host, set } = await house()
    try {
      const own = Array.from({ length: 8 }, (_, index) => set(index + 2))
      const library = Array.from({ length: 8 }, (_, index) =>
        host.write(Lane.data, Write.statement("INSERT INTO Machine (id) VALUES (?)", [`library-${index}`]))
      )
      const [first] = await Promise.all([...own, ...library])
      assert.deepStrictEqual(first, [{ count: 1 }, { count: 1 }])
      assert.deepStrictEqual(database.prepare("SELECT count(*) FROM Machine").pluck().get(), 9)
      assert.deepStrictEqual(database.prepare("SELECT lastActiveAt FROM Session").pluck().all(), [9])
    } finally {
      await close()
    }
  })

  it("is tried again while another process holds the lock", async () => {
    const { close, database, set } = await house()
    try {
      database.exec("BEGIN IMMEDIATE")
      let attempts = 0
      const unlock = () => {
        if (++attempts === 3) database.exec("COMMIT")
      }
      assert.deepStrictEqual(await set(7, unlock), [{ count: 1 }, { count: 1 }])
      assert.strictEqual(attempts, 3)
      database.exec("BEGIN IMMEDIATE")
      const error = await set(8).then(
        () => assert.fail("written under a lock"),
        (error: unknown) => error
      )
      assert.include(JSON.stringify(error), "SQLITE_BUSY")
      database.exec("COMMIT")
      assert.deepStrictEqual(database.prepare("SELECT lastActiveAt FROM Session").pluck().all(), [7])
    } finally {
      await close()
    }
  })
})
