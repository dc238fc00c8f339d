/** The built server as a process of its own, as an operator starts it. */
import Database from "better-sqlite3"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { freePort } from "../../../drivers/BuiltServer.ts"
import * as ServerChild from "../../../drivers/ServerChild.ts"

export interface ServerProcess {
  readonly url: string
  readonly pid: number
  readonly directory: string
  readonly databaseFile: string
  /** On the clock of `performance.now()`. */
  readonly spawnedAt: number
  /** The gaps of its event loop since the last request for them. With the probe preloaded only. */
  readonly loopGaps: () => Promise<LoopGaps>
  readonly stop: () => Promise<void>
}

/** Milliseconds. */
export interface LoopGaps {
  readonly p99: number
  readonly max: number
}

export interface Options {
  /** A new one unless given. */
  readonly directory?: string
  readonly environment?: Readonly<Record<string, string>>
  /** A module that is loaded into the process before the server. */
  readonly preloaded?: URL
}

/** Limits that a load of this kind would reach, and which are not measured here. */
export const unlimited = {
  HAPPIER_RATE_LIMIT_AUTH: "0",
  HAPPIER_RATE_LIMIT_CONTROL: "0",
  HAPPIER_RATE_LIMIT_READS: "0",
  HAPPIER_RATE_LIMIT_SOCKETS: "0",
  HAPPIER_RATE_LIMIT_OPEN: "0",
  HAPPIER_CONNECTION_LIMIT: "0",
  HAPPIER_CONNECTION_ADDRESS_LIMIT: "0",
  HAPPIER_SOCKET_EVENTS_PER_SECOND: "1000000",
  HAPPIER_SOCKET_EVENT_BURST: "1000000"
}

export const makeDirectory = (): string => path.join(fs.mkdtempSync(path.join(os.tmpdir(), "server-")), "data")

export const databaseFileIn = (directory: string): string => path.join(directory, "happier-server-light.sqlite")

/** Starts it, and waits until it reports that it is ready. */
export const start = async (options: Options = {}): Promise<ServerProcess> => {
  const { directory = makeDirectory(), environment = {}, preloaded } = options
  const port = await Effect.runPromise(freePort)
  const spawnedAt = performance.now()
  const { child, ended, ready } = ServerChild.start({
    directory,
    port,
    environment: { ...unlimited, ...environment },
    preloaded
  })
  await ready
  return {
    url: `http://127.0.0.1:${port}`,
    pid: child.pid ?? 0,
    directory,
    databaseFile: databaseFileIn(directory),
    spawnedAt,
    loopGaps: () =>
      new Promise((resolve) => {
        const hear = (data: unknown) => {
          const found = /loop-gaps (\{.*\})/.exec(String(data))
          if (found === null) return
          child.stdout.off("data", hear)
          resolve(JSON.parse(found[1] ?? "{}") as LoopGaps)
        }
        child.stdout.on("data", hear)
        child.kill("SIGUSR2")
      }),
    stop: async () => {
      child.kill("SIGTERM")
      await ended
    }
  }
}

/** Memory that the process keeps in RAM now, in bytes. */
export const residentBytes = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024

/** Ids of sessions in their order, of the length of those that the server makes. */
export const sessionIds = (count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, index) => `cbench${index.toString(36).padStart(19, "0")}`)

/** Sessions of the account, straight into the file of a server that does not run. Answers with their ids. */
export const seedSessions = (
  directory: string,
  accountId: string,
  count: number,
  metadataBytes = 600
): ReadonlyArray<string> => {
  const database = new Database(databaseFileIn(directory))
  const now = Date.now()
  const insert = database.prepare(`INSERT INTO Session
    (id, tag, accountId, metadata, active, lastActiveAt, createdAt, updatedAt) VALUES (?, ?, ?, ?, 0, ?, ?, ?)`)
  const ids = sessionIds(count)
  database.transaction(() => {
    for (const id of ids) insert.run(id, id, accountId, "m".repeat(metadataBytes), now - 3_600_000, now, now)
  })()
  database.exec("ANALYZE")
  database.close()
  return ids
}

/** Processor time of a process so far, in milliseconds: fields 14 and 15 of its stat, in ticks of 10 ms. */
export const processorMillis = (pid: number): number => {
  const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8")
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  return (Number(fields[11]) + Number(fields[12])) * 10
}
