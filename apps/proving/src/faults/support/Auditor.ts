/**
 * Compares the answers that clients received with the content of the file. It
 * uses neither the server nor the scenario: it reads the clients' own log and
 * the database.
 */
import type { Server } from "../../drivers/BuiltServer.ts"
import * as AckFile from "./AckFile.ts"

export interface Audit {
  /** Registrations and messages that were acknowledged. */
  readonly acknowledgedCount: number
  /** Those that are not in the file, or not as they were acknowledged. */
  readonly lost: ReadonlyArray<string>
  /** Messages that are there twice, and numbers that are missing. */
  readonly torn: ReadonlyArray<string>
  /** `ok`, or the message of SQLite. */
  readonly integrity: string
}

export const audit = (server: Pick<Server, "rows">, entries: ReadonlyArray<AckFile.Entry>): Audit => {
  const registered = AckFile.of(entries, "registration").filter(({ status }) => status === 200)
  const stored = AckFile.of(entries, "message").filter(({ outcome }) => outcome === "stored")
  const machines = new Map(server.rows("SELECT id, metadata FROM Machine").map(({ id, metadata }) => [id, metadata]))
  const rows = server.rows("SELECT sessionId, localId, seq FROM SessionMessage ORDER BY sessionId, seq")
  const seqs = new Map(rows.map(({ localId, seq }) => [localId, seq]))
  let expected = 0
  let session: unknown
  const torn = rows.flatMap(({ localId, seq, sessionId }) => {
    expected = session === sessionId ? expected + 1 : 1
    session = sessionId
    return seq === expected ? [] : [`${String(localId)} stands at ${String(seq)} instead of ${expected}`]
  })
  if (seqs.size !== rows.length) torn.push(`${rows.length - seqs.size} messages are there twice`)
  return {
    acknowledgedCount: registered.length + stored.length,
    lost: [
      ...registered.filter(({ id }) => machines.get(id) !== `metadata of ${id}`).map(({ id }) => id),
      ...stored.filter(({ localId, seq }) => seqs.get(localId) !== seq).map(({ localId }) => localId)
    ],
    torn,
    integrity: server
      .rows("PRAGMA integrity_check")
      .map((row) => String(row["integrity_check"]))
      .join("; ")
  }
}

/** The age, at a moment, of the oldest heartbeat since another one that is not in the file, in ms. */
export const presenceLostMillis = (
  server: Pick<Server, "rows">,
  entries: ReadonlyArray<AckFile.Entry>,
  moment: number,
  since = 0
): number => {
  const stored = new Map(
    server.rows("SELECT id, lastActiveAt FROM Session").map(({ id, lastActiveAt }) => [id, Number(lastActiveAt)])
  )
  const lost = AckFile.of(entries, "beat").filter(
    ({ at, sid }) => at >= since && at < moment && at > (stored.get(sid) ?? Infinity)
  )
  return lost.reduce((worst, { at }) => Math.max(worst, moment - at), 0)
}
