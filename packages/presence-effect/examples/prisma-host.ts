/**
 * A host that writes through a client of its own, Prisma for example: its
 * transactions wait for the same permit as all other writes, so none of them
 * meets a locked database, and registrations still go first.
 */
import Database from "better-sqlite3"
import * as PresenceHost from "presence-effect/host/PresenceHost"
import * as Lane from "presence-effect/writer/Lane"
import * as PresenceTables from "presence-effect/sqlite/PresenceTables"

/** In the place of a generated client: promises, and one interactive transaction at a time. */
const openClient = (filename: string) => {
  // Zero: the permit and its retries wait for locks, not the client.
  const database = new Database(filename, { timeout: 0 })
  const execute = async (sql: string, ...params: ReadonlyArray<string>): Promise<number> =>
    database.prepare(sql).run(...params).changes
  return {
    transaction: async <A>(
      body: (execute: (sql: string, ...params: ReadonlyArray<string>) => Promise<number>) => Promise<A>
    ) => {
      database.exec("BEGIN IMMEDIATE")
      try {
        const result = await body(execute)
        database.exec("COMMIT")
        return result
      } catch (error) {
        database.exec("ROLLBACK")
        throw error
      }
    },
    count: (table: string): unknown => database.prepare(`SELECT count(*) FROM ${table}`).pluck().get(),
    close: () => database.close()
  }
}

const kinds = {
  machine: { table: "Machine", accountId: "accountId" },
  session: { table: "Session", accountId: "accountId" }
} as const

export const run = async (filename: string): Promise<{ readonly machines: unknown; readonly sessions: unknown }> => {
  new Database(filename).exec(PresenceTables.ddl(kinds)).close()
  const host = await PresenceHost.start({
    filename,
    kinds
  })
  const client = openClient(filename)
  // #region permit
  const createSession = (accountId: string, machineId: string, id: string) =>
    host.withPermit(Lane.control, () =>
      client.transaction(async (execute) => {
        await execute(
          "INSERT INTO Machine (id, accountId) VALUES (?, ?) ON CONFLICT (id) DO NOTHING",
          machineId,
          accountId
        )
        await execute("INSERT INTO Session (id, accountId) VALUES (?, ?)", id, accountId)
      })
    )
  // #endregion
  try {
    // All at once, beside a flush: without the permit two transactions would meet on one client, or a busy database.
    for (let count = 0; count < 9; count++) {
      host.beat({ kind: "session", accountId: "account-1", id: `session-${count}` }, Date.now())
    }
    await Promise.all(
      Array.from({ length: 9 }, (_, index) => createSession("account-1", "machine-1", `session-${index}`))
    )
    return { machines: client.count("Machine"), sessions: client.count("Session") }
  } finally {
    client.close()
    await host.close()
  }
}
