/** Plain Node code without Effect: functions and promises. */
import Database from "better-sqlite3"
import * as PresenceHost from "presence-effect/host/PresenceHost"
import * as Lane from "presence-effect/writer/Lane"
import * as Write from "presence-effect/writer/Write"
import * as WriterError from "presence-effect/writer/WriterError"
import * as PresenceTables from "presence-effect/sqlite/PresenceTables"

// #region host
/** What is kept online: machines, in the table `Machine`. Each belongs to an account. */
const kinds = { machine: { table: "Machine", accountId: "accountId" } } as const

/** The status an HTTP handler would answer a registration with. */
const register = async (host: Pick<PresenceHost.PresenceHost, "write">, id: string): Promise<number> => {
  try {
    await host.write(Lane.control, Write.statement("INSERT INTO Machine (id, accountId) VALUES (?, 'account-1')", [id]))
    return 201
  } catch (error) {
    if (!WriterError.isWriterError(error)) throw error
    return error._tag === "WriteRejected" ? 409 : 503
  }
}

export const serve = async (filename: string): Promise<ReadonlyArray<number>> => {
  const host = await PresenceHost.start({ filename, kinds, onLog: ({ level, message }) => console[level](message) })
  try {
    const first = await register(host, "machine-1")
    const again = await register(host, "machine-1")
    // In the callbacks of a socket: no promise, no database.
    const machine = { kind: "machine", accountId: "account-1", id: "machine-1" } as const
    host.connected(machine)
    host.beat(machine, Date.now())
    return [first, again, host.status().presence.trackedCount]
  } finally {
    await host.close()
  }
}
// #endregion

export const run = (filename: string): Promise<ReadonlyArray<number>> => {
  new Database(filename).exec(PresenceTables.ddl(kinds)).close()
  return serve(filename)
}
