/**
 * T18: memory of the server on an empty file, when nothing has happened for a
 * while, and with a thousand sockets. The other side is Node that does nothing.
 *
 * V8 gives back what a start or a thousand logins needed within half a minute of
 * quiet. So each figure is the least of its last seconds.
 */
import { spawn } from "node:child_process"
import { setTimeout as sleep } from "node:timers/promises"
import type { Question } from "../Result.ts"
import * as Rounds from "../Rounds.ts"
import * as Client from "../../drivers/AccountClient.ts"
import * as Daemon from "./support/Daemon.ts"
import * as ServerProcess from "./support/ServerProcess.ts"

const megabyte = 1024 * 1024
const quietMillis = 35_000
const lookMillis = 1_000
const idleLimit = 110
/** Sockets that connect together. */
const atOnce = 25
const sockets = { count: 1_000, limit: 160 }

/** Megabytes, when the time is over: the least of the last ten seconds. */
const settled = async (pid: number): Promise<number> => {
  const looks: Array<number> = []
  for (let passed = 0; passed < quietMillis; passed += lookMillis) {
    await sleep(lookMillis)
    looks.push(ServerProcess.residentBytes(pid) / megabyte)
  }
  return Math.min(...looks.slice(-10))
}

const bare = async (): Promise<number> => {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" })
  await sleep(lookMillis)
  const bytes = ServerProcess.residentBytes(child.pid ?? 0)
  child.kill()
  return bytes / megabyte
}

export const question: Question = async (report) => {
  const account = Client.make()
  const before = await ServerProcess.start()
  const { directory } = before
  const { accountId } = await Daemon.login(before.url, account)
  await before.stop()
  const ids = ServerProcess.seedSessions(directory, accountId, sockets.count)
  const server = await ServerProcess.start({ directory })
  const theirs = await bare()
  const idle = await settled(server.pid)
  const point = (id: string, ours: number, limit: number, note: string) =>
    report({
      id,
      ours,
      theirs,
      unit: "MB",
      ratio: ours / theirs,
      target: `<= ${limit} MB`,
      met: ours <= limit,
      measures: "memory",
      note
    })
  point("T18@idle", idle, idleLimit, "against Node that does nothing")
  const daemon = await Daemon.login(server.url, account)
  for (let from = 0; from < ids.length; from += atOnce) {
    await Promise.all(ids.slice(from, from + atOnce).map(daemon.connect))
  }
  const connected = await settled(server.pid)
  const each = ((connected - idle) * 1024) / sockets.count
  point(`T18@${sockets.count}`, connected, sockets.limit, `${Rounds.digits(each)} KB a socket`)
  await server.stop()
}
