/**
 * T15: what heartbeats cost that change nothing, and whom they delay.
 *
 * A hundred apps of one account are open, and one of its sessions beats 1 600
 * times a second. Another account registers machines. The other side is the same
 * server with the same apps and registrations, and no heartbeat. The two take
 * turns. What a heartbeat costs is measured in turns without registrations, which
 * cost more than all heartbeats; beside it stands what a bare socket.io server
 * uses that reads the same heartbeats and sends nothing.
 */
import type { Socket } from "socket.io-client"
import { setTimeout as sleep } from "node:timers/promises"
import type { Question } from "../Result.ts"
import * as Rounds from "../Rounds.ts"
import * as Client from "../../drivers/AccountClient.ts"
import * as BareServer from "./support/BareServer.ts"
import * as Daemon from "./support/Daemon.ts"
import * as RegistrationRounds from "./support/RegistrationRounds.ts"
import * as ServerProcess from "./support/ServerProcess.ts"

const appCount = 100
const beatsPerSecond = 1_600
/** Sent at once: a daemon that beats so often does not do so at equal distances. */
const portionMillis = 20
const perSecond = 50
const turnMillis = 4_000
const roundCount = 5

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

/** Processor time that one heartbeat costs a server, in microseconds: what it uses beyond an idle turn. */
const costTurn = async (pid: number, socket: Socket, sid: string): Promise<number> => {
  const before = ServerProcess.processorMillis(pid)
  await sleep(turnMillis)
  const between = ServerProcess.processorMillis(pid)
  const stop = startBeating(socket, sid)
  await sleep(turnMillis)
  const after = ServerProcess.processorMillis(pid)
  return ((after - between - (between - before)) * 1_000) / stop()
}

type Report = Parameters<Question>[0]

const reportTail = (report: Report, tails: RegistrationRounds.Tails<"idle" | "beaten">, heard: number): void => {
  const ratio = tails.ratio("beaten", "idle")
  report({
    id: `T15@${appCount}/p99`,
    ours: tails.sides.beaten.median,
    theirs: tails.sides.idle.median,
    unit: "ms p99",
    ratio,
    target: "ratio <= 2",
    met: ratio <= 2,
    note: `registrations of another account; ${heard} packets to apps; ${tails.together("beaten", "idle")}`
  })
}

const reportCost = (report: Report, { bare, ours }: Rounds.Rounds<"ours" | "bare">["sides"]): void =>
  report({
    id: `T15@${appCount}/beat`,
    ours: ours.median,
    theirs: bare.median,
    unit: "us/beat",
    ratio: ours.median / bare.median,
    target: "<= 5 us more",
    met: ours.median - bare.median <= 5,
    note: `processor time; ${Rounds.spread(ours)}`
  })

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

  const tails = await RegistrationRounds.measure(
    roundCount,
    { perSecond, turnMillis, register: other.register },
    { idle: () => () => {}, beaten: () => startBeating(socket, sid) }
  )
  const bare = await BareServer.start()
  const bareSocket = await Daemon.connectTo(bare.url, {})
  const costs = await Rounds.measure(roundCount, {
    ours: () => costTurn(server.pid, socket, sid),
    bare: () => costTurn(bare.pid, bareSocket, sid)
  })
  if (heard === 0) throw new Error("no app was told about a heartbeat")
  reportTail(report, tails, heard)
  reportCost(report, costs.sides)
  bareSocket.disconnect()
  await server.stop()
}
