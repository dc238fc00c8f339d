/** What other programs do to a database file while the server runs. */
import Database from "better-sqlite3"
import { setTimeout as sleep } from "node:timers/promises"
import type { Daemon } from "./Daemon.ts"
import type { ServerProcess } from "./ServerProcess.ts"

export interface Fault {
  readonly name: string
  /** Goes on for `millis`, and leaves nothing behind. */
  readonly inflict: (server: ServerProcess, daemon: Daemon, millis: number) => Promise<void>
}

const withStranger = async (file: string, body: (stranger: Database.Database) => Promise<void>): Promise<void> => {
  const stranger = new Database(file, { timeout: 0 })
  try {
    await body(stranger)
  } finally {
    stranger.close()
  }
}

/** A lock that is taken by then is tried again in a moment. */
const tryExec = (stranger: Database.Database, sql: string): boolean => {
  try {
    stranger.exec(sql)
    return true
  } catch {
    return false
  }
}

export const none: Fault = { name: "none", inflict: (_server, _daemon, millis) => sleep(millis) }

export const all: ReadonlyArray<Fault> = [
  {
    name: "foreign-lock",
    inflict: ({ databaseFile }, _daemon, millis) =>
      withStranger(databaseFile, async (stranger) => {
        while (!tryExec(stranger, "BEGIN IMMEDIATE")) await sleep(1)
        await sleep(millis)
        stranger.exec("ROLLBACK")
      })
  },
  {
    name: "short-locks",
    inflict: ({ databaseFile }, _daemon, millis) =>
      withStranger(databaseFile, async (stranger) => {
        const until = performance.now() + millis
        while (performance.now() < until) {
          const isHeld = tryExec(stranger, "BEGIN IMMEDIATE")
          await sleep(1)
          if (isHeld) stranger.exec("ROLLBACK")
          await sleep(1)
        }
      })
  },
  {
    name: "pinned-reader",
    inflict: ({ databaseFile }, _daemon, millis) =>
      withStranger(databaseFile, async (stranger) => {
        stranger.exec("BEGIN")
        stranger.prepare("SELECT count(*) FROM Machine").get()
        await sleep(millis)
        stranger.exec("COMMIT")
      })
  },
  {
    name: "reconnect-storm",
    inflict: async (_server, daemon, millis) => {
      const until = performance.now() + millis
      while (performance.now() < until) {
        const sockets = await Promise.all(Array.from({ length: 50 }, (_, index) => daemon.connect(`storm-${index}`)))
        for (const socket of sockets) socket.disconnect()
        await sleep(100)
      }
    }
  }
]
