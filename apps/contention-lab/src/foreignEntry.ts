/**
 * The other process that takes locks now and then: the write lock of a file, or the rows of all sessions in PostgreSQL.
 * It keeps its own time: the strategy may be blocked by the very lock that is held here, and could not ask for its end.
 */
import Database from "better-sqlite3"
import { setTimeout as sleep } from "node:timers/promises"
import { Client } from "pg"
import type { DatabaseKind } from "./strategies/Catalogue.ts"
import type { ForeignHold } from "./Workload.ts"

// It ends with its parent process.
process.on("SIGINT", () => undefined)
process.on("disconnect", () => process.exit(0))

export interface ForeignOrder {
  readonly database: DatabaseKind
  /** A file of SQLite, or the address of a schema. */
  readonly target: string
  readonly holds: ReadonlyArray<ForeignHold>
}

interface Lock {
  readonly take: () => Promise<unknown>
  readonly release: () => Promise<unknown>
  readonly close: () => Promise<unknown>
}

const lockOfFile = async (filename: string): Promise<Lock> => {
  const database = new Database(filename, { timeout: 5_000 })
  return {
    take: async () => database.exec("BEGIN IMMEDIATE"),
    release: async () => database.exec("ROLLBACK"),
    close: async () => database.close()
  }
}

const lockOfSessions = async (connectionString: string): Promise<Lock> => {
  const client = new Client({ connectionString })
  client.on("error", () => undefined)
  await client.connect()
  return {
    take: async () => {
      await client.query("BEGIN; SET LOCAL lock_timeout = 5000")
      try {
        await client.query(`SELECT FROM "Session" ORDER BY "id" FOR UPDATE`)
      } catch (cause) {
        await client.query("ROLLBACK")
        throw cause
      }
    },
    release: () => client.query("ROLLBACK"),
    close: () => client.end()
  }
}

const take = async ({ database, holds, target }: ForeignOrder): Promise<void> => {
  const startedAt = performance.now()
  const lock = await (database === "postgres" ? lockOfSessions : lockOfFile)(target)
  for (const { atMillis, holdMillis } of holds) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other is what a schedule means
    await sleep(Math.max(0, atMillis - (performance.now() - startedAt)))
    try {
      // oxlint-disable-next-line no-await-in-loop -- as above
      await lock.take()
    } catch {
      // A try that does not get the lock within five seconds is skipped.
      continue
    }
    // oxlint-disable-next-line no-await-in-loop -- as above
    await sleep(holdMillis)
    // oxlint-disable-next-line no-await-in-loop -- as above
    await lock.release()
  }
  await lock.close()
}

process.on("message", (order: ForeignOrder) => void take(order))
