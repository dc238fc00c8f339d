/**
 * T15: what heartbeats cost that change nothing, and whom they delay.
 *
 * A hundred apps of one account are open, and one of its sessions beats 1 600
 * times a second. Another account registers machines. The other side is the same
 * server with the same apps and registrations, and no heartbeat. The two take
 * turns. A heartbeat costs what the server uses more in a turn with them.
 */
import type { Socket } from "socket.io-client"
import type { Question } from "../Result.ts"
import * as Rounds from "../Rounds.ts"
import * as Client from "../../drivers/AccountClient.ts"
import * as Daemon from "./support/Daemon.ts"
import * as Registrations from "./support/Registrations.ts"
import * as ServerProcess from "./support/ServerProcess.ts"

const appCount = 100
const beatsPerSecond = 1_600
/** Sent at once: a daemon that beats so often does not do so at equal distances. */
const portionMillis = 20
const perSecond = 50
const turnMillis = 4_000
const turnCount = 4

/** Beats until it is stopped; then returns how often. */
const startBeating = (socket: Socket, sid: string): (() => number) => {
  const began = performance.now()
  let count = 0
  const timer = setInterval(() => {
    const due = ((performance.now() - began) * beatsPerSecond) / 1_000
    const time = Date.now()
    for (; count < due; count++) socket.emit("session-alive", { sid, time, thinking: false })
  }, portionMillis)
  return () => {
    clearInterval(timer)
    return count
  }
}

export const question: Question = async (report) => {
  const account = Client.make()
  const before = await ServerProcess.start()
  const { directory } = before
  const { accountId } = await Daemon.login(before.url, account)
  await before.stop()
  const [sid = ""] = ServerProcess.seedSessions(directory, accountId, 1)
  const server = await ServerProcess.start({ directory })
  const watched = await Daemon.login(server.url, account)
  const other = await Daemon.login(server.url)
  const socket = await watched.connect(sid)
  let heard = 0
  for (let count = 0; count < appCount; count++) {
    const app = await watched.connectApp()
    app.on("ephemeral", () => heard++)
  }

  const idle = Registrations.makeHistogram()
  const beaten = Registrations.makeHistogram()
  const turn = async (latency: typeof idle, seed: number) => {
    const usedBefore = ServerProcess.processorMillis(server.pid)
    await Registrations.record(latency, { perSecond, forMillis: turnMillis, seed }, other.register)
    return ServerProcess.processorMillis(server.pid) - usedBefore
  }
  const micros: Array<number> = []
  for (let index = 0; index <= turnCount; index++) {
    const isCounted = index > 0
    const idleMillis = await turn(isCounted ? idle : Registrations.makeHistogram(), index + 1)
    const stop = startBeating(socket, sid)
    const usedMillis = await turn(isCounted ? beaten : Registrations.makeHistogram(), index + 1)
    const beats = stop()
    if (isCounted) micros.push(((usedMillis - idleMillis) * 1_000) / beats)
  }
  if (heard === 0) throw new Error("no app was told about a heartbeat")
  const ours = Registrations.percentileMillis(beaten, 99)
  const theirs = Registrations.percentileMillis(idle, 99)
  report({
    id: `T15@${appCount}/p99`,
    ours,
    theirs,
    unit: "ms p99",
    ratio: ours / theirs,
    target: "ratio <= 2",
    met: ours / theirs <= 2,
    note: `registrations of another account; ${heard} packets to apps`
  })
  const cost = Rounds.median(micros)
  report({
    id: `T15@${appCount}/beat`,
    ours: cost,
    theirs: 0,
    unit: "us/beat",
    ratio: cost / 5,
    target: "<= 5 us of processor time",
    met: cost <= 5,
    note: `${Rounds.digits(Math.min(...micros))}-${Rounds.digits(Math.max(...micros))}`
  })
  await server.stop()
}
