/**
 * The engine that is a process boundary away, as a thread: it answers one statement after the other, each a round trip
 * later than its work took. It sleeps for that time, as precisely as the system can, and blocks only itself.
 */
import Database from "better-sqlite3"
import { parentPort, workerData } from "node:worker_threads"
import { blockFor } from "./blockFor.ts"
import type { Answered, Crossed, EngineTerms } from "./roundTripProtocol.ts"

const { busyMillis, filename, roundTripMillis, syncMillis } = workerData as EngineTerms

const database = new Database(filename, { timeout: busyMillis })
database.pragma("journal_mode = WAL")
// What this project does for a registration, and what plain SQLite does unless it is told otherwise.
database.pragma("synchronous = FULL")

const perform = ({ params, sql }: Crossed): string | undefined => {
  try {
    blockFor(roundTripMillis)
    if (sql === "COMMIT") blockFor(syncMillis)
    database.prepare(sql).run(...params)
    return undefined
  } catch (cause) {
    return String(cause)
  }
}

parentPort?.on("message", (crossed: Crossed | "close") => {
  if (crossed === "close") {
    database.close()
    parentPort?.close()
    return
  }
  parentPort?.postMessage({ number: crossed.number, error: perform(crossed) } satisfies Answered)
})
