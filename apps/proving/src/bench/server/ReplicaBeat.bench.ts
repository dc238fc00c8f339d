/**
 * T21: what a heartbeat costs the other replica when nobody watches its row there: nothing.
 *
 * A session beats 8 000 times a second at one of two servers, and each heartbeat
 * changes whether it thinks. Counted are the bytes between both servers and Redis,
 * and the processor time of the other server, beyond those of a turn without
 * heartbeats. The other side are such heartbeats, 1 600 a second, while an app of
 * the account is open at the other server: each has to reach it, so both are seen.
 */
import { Effect } from "effect"
import * as fs from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import type { Socket } from "socket.io-client"
import type { Question } from "../Result.ts"
import * as Rounds from "../Rounds.ts"
import * as Services from "../Services.ts"
import * as Client from "../../drivers/AccountClient.ts"
import * as Replicas from "../../drivers/Replicas.ts"
import * as CountingProxy from "./support/CountingProxy.ts"
import * as Daemon from "./support/Daemon.ts"
import * as ServerProcess from "./support/ServerProcess.ts"

/** The more, the less of them is the noise of a turn. Those that reach the other server must not keep it busy. */
const beatsPerSecond = { unwatched: 8_000, watched: 1_600 }
const portionMillis = 20
const turnMillis = 4_000
/** Until both servers have heard that an app has come or gone. */
const settleMillis = 2_000
const roundCount = 5
const bytesMax = 0.1
const microsMax = 0.5

/** Of all its threads, in microseconds. The ticks of `stat` are as long as 16 heartbeats. */
const processorMicros = (pid: number): number =>
  fs
    .readdirSync(`/proc/${pid}/task`)
    .reduce(
      (sum, task) => sum + Number(fs.readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0]),
      0
    ) / 1_000

interface Cost {
  readonly bytes: number
  readonly micros: number
}

interface Stand {
  readonly socket: Socket
  readonly sid: string
  /** Bytes so far, of both servers. */
  readonly bytes: () => number
  /** The server that the session is not connected to. */
  readonly otherPid: number
}

/** Beats until it is stopped; then returns how often. */
const startBeating = ({ sid, socket }: Stand, perSecond: number): (() => number) => {
  const began = performance.now()
  let count = 0
  const timer = setInterval(() => {
    const due = ((performance.now() - began) * perSecond) / 1_000
    const time = Date.now()
    for (; count < due; count++) socket.emit("session-alive", { sid, time, thinking: count % 2 === 0 })
  }, portionMillis)
  return () => {
    clearInterval(timer)
    return count
  }
}

const turn = async ({ bytes, otherPid }: Stand): Promise<Cost> => {
  const before = { bytes: bytes(), micros: processorMicros(otherPid) }
  await sleep(turnMillis)
  return { bytes: bytes() - before.bytes, micros: processorMicros(otherPid) - before.micros }
}

/** Of one heartbeat, beyond a turn without any. */
const costTurn = async (stand: Stand, perSecond: number): Promise<Cost> => {
  const idle = await turn(stand)
  const stop = startBeating(stand, perSecond)
  const busy = await turn(stand)
  const count = stop()
  await new Promise((resolve) => stand.socket.emit("ping", resolve))
  return { bytes: (busy.bytes - idle.bytes) / count, micros: (busy.micros - idle.micros) / count }
}

const watchedTurn = async (stand: Stand, watcher: Daemon.Daemon): Promise<Cost> => {
  let heard = 0
  const app = await watcher.connectApp()
  app.on("ephemeral", () => heard++)
  await sleep(settleMillis)
  const cost = await costTurn(stand, beatsPerSecond.watched)
  app.disconnect()
  await sleep(settleMillis)
  if (heard === 0) throw new Error("an app at the other replica was told about no heartbeat")
  return cost
}

const reportSide = (
  report: Parameters<Question>[0],
  unit: "B/beat" | "us/beat",
  values: { readonly ours: ReadonlyArray<number>; readonly theirs: ReadonlyArray<number> }
): void => {
  const isBytes = unit === "B/beat"
  const max = isBytes ? bytesMax : microsMax
  const ours = Rounds.median(values.ours)
  const theirs = Rounds.median(values.theirs)
  const spread = `${Rounds.digits(Math.min(...values.ours))} to ${Rounds.digits(Math.max(...values.ours))}`
  report({
    id: isBytes ? "T21@bytes" : "T21@processor",
    ours,
    theirs,
    unit,
    ratio: ours / theirs,
    ...(isBytes ? { measures: "memory" as const } : {}),
    target: `<= ${max} ${unit}`,
    met: ours <= max && theirs > 2 * max,
    note: isBytes ? `through Redis, both servers; ${spread}` : `of the other server; ${spread}`
  })
}

const measure = async (
  [here, there]: readonly [string, string],
  terms: Pick<Stand, "bytes" | "otherPid">,
  report: Parameters<Question>[0]
): Promise<void> => {
  const account = Client.make()
  const daemon = await Daemon.login(here, account)
  const watcher = await Daemon.login(there, account)
  // The other server is no idle one: apps of another account are open there.
  const neighbour = await Daemon.login(there)
  const neighbourApp = await neighbour.connectApp()
  const sid = await daemon.openSession("beating")
  const stand: Stand = { ...terms, sid, socket: await daemon.connect(sid) }
  const costs: { readonly unwatched: Array<Cost>; readonly watched: Array<Cost> } = { unwatched: [], watched: [] }
  for (let round = 0; round <= roundCount; round++) {
    const unwatched = await costTurn(stand, beatsPerSecond.unwatched)
    const watched = await watchedTurn(stand, watcher)
    if (round === 0) continue
    costs.unwatched.push(unwatched)
    costs.watched.push(watched)
  }
  for (const [unit, of] of [
    ["B/beat", ({ bytes }: Cost) => bytes],
    ["us/beat", ({ micros }: Cost) => micros]
  ] as const) {
    reportSide(report, unit, { ours: costs.unwatched.map(of), theirs: costs.watched.map(of) })
  }
  stand.socket.disconnect()
  neighbourApp.disconnect()
}

export const question: Question = (report) =>
  Services.withBoth("T21", ({ postgresUrl, redisUrl }) =>
    Effect.gen(function* () {
      const address = new URL(redisUrl)
      const proxy = yield* CountingProxy.make({ host: address.hostname, port: Number(address.port) })
      address.port = String(proxy.port)
      const environment = ServerProcess.unlimited
      const { servers } = yield* Replicas.start({ count: 2, postgresUrl, redisUrl: address.href, environment })
      const [here, there] = servers
      if (here === undefined || there === undefined) return
      const otherPid = yield* there.pid
      yield* Effect.promise(() => measure([here.url, there.url], { bytes: proxy.bytes, otherPid }, report))
    })
  )
