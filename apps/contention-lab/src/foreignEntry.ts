/**
 * The other process that takes the write lock now and then. It keeps its own time: the strategy may be blocked by the
 * very lock that is held here, and could not ask for its end.
 */
import Database from "better-sqlite3"
import { setTimeout as sleep } from "node:timers/promises"
import type { ForeignHold } from "./Workload.ts"

// It ends with its parent process.
process.on("SIGINT", () => undefined)
process.on("disconnect", () => process.exit(0))

export interface ForeignOrder {
  readonly filename: string
  readonly holds: ReadonlyArray<ForeignHold>
}

const take = async ({ filename, holds }: ForeignOrder): Promise<void> => {
  const startedAt = performance.now()
  const database = new Database(filename, { timeout: 5_000 })
  for (const { atMillis, holdMillis } of holds) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other is what a schedule means
    await sleep(Math.max(0, atMillis - (performance.now() - startedAt)))
    try {
      database.exec("BEGIN IMMEDIATE")
    } catch {
      // A try that does not get the lock within five seconds is skipped.
      continue
    }
    // oxlint-disable-next-line no-await-in-loop -- as above
    await sleep(holdMillis)
    database.exec("ROLLBACK")
  }
  database.close()
}

process.on("message", (order: ForeignOrder) => void take(order))
