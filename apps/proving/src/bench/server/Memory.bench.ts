/**
 * T18: memory of the server on an empty file, when nothing has happened for a
 * while, and with a thousand sockets. The other side is Node that does nothing.
 *
 * V8 gives back what a start or a thousand logins needed when nothing happens, after
 * a quarter of a minute on a quiet box. So it is given time.
 */
import { spawn } from "node:child_process"
import { setTimeout as sleep } from "node:timers/promises"
import type { Question } from "../Result.ts"
import * as Rounds from "../Rounds.ts"
import * as Daemon from "./support/Daemon.ts"
import * as ServerProcess from "./support/ServerProcess.ts"

const megabyte = 1024 * 1024
const quietMillis = 110_000
const lookMillis = 1_000
/** What counts as given back, and for how many looks it stays so. */
const lessShare = 0.9
const stableLooks = 10
const idleLimit = 110
/** Sockets that connect together. */
const atOnce = 25
/** An account may have 200. */
const sockets = { count: 1_000, ofAccount: 100, limit: 160 }

/** Megabytes, once they have become less and stay so; at the latest when the time is over. */
const settled = async (pid: number): Promise<number> => {
  const looks: Array<number> = []
  const least = () => Math.min(...looks)
  while (looks.length < quietMillis / lookMillis) {
    await sleep(lookMillis)
    looks.push(ServerProcess.residentBytes(pid) / megabyte)
    const recent = looks.slice(-stableLooks)
    if (looks.length > stableLooks && Math.max(...recent) < (looks[0] ?? 0) * lessShare) return least()
  }
  return least()
}

const bare = async (): Promise<number> => {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" })
  await sleep(lookMillis)
  const bytes = ServerProcess.residentBytes(child.pid ?? 0)
  child.kill()
  return bytes / megabyte
}

export const question: Question = async (report) => {
  const server = await ServerProcess.start()
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
  for (let opened = 0; opened < sockets.count; opened += sockets.ofAccount) {
    const { connectApp } = await Daemon.login(server.url)
    for (let count = 0; count < sockets.ofAccount; count += atOnce) {
      await Promise.all(Array.from({ length: atOnce }, connectApp))
    }
  }
  const connected = await settled(server.pid)
  const each = ((connected - idle) * 1024) / sockets.count
  point(`T18@${sockets.count}`, connected, sockets.limit, `${Rounds.digits(each)} KB a socket`)
  await server.stop()
}
