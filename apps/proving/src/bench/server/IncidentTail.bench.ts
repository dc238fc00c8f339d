/**
 * T4: the tail of registrations, against the pattern of the incident.
 *
 * Nine sessions beat, and new machines are registered at random times. On one
 * side is the built server. On the other one engine answers everything, one
 * request after the other, each with round trips of 5 ms, and each tick writes
 * one row per session through it, each in a transaction.
 *
 * The server without presence takes turns with both: a registration cannot be
 * faster than there, however the presence is written. The engine's round trips
 * do not depend on the box, and that floor does.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import type { Question } from "../Result.ts"
import * as Rounds from "../Rounds.ts"
import * as Client from "../../drivers/AccountClient.ts"
import * as Daemon from "./support/Daemon.ts"
import * as Registrations from "./support/Registrations.ts"
import * as ServerProcess from "./support/ServerProcess.ts"

const sessionCount = 9
const tickMillis = 250
const roundTripMillis = 5
/** Uses up to nine tenths of an engine with such a round trip, its ticks included. */
const perSecond = 30
const turnMillis = 4_000
const turnCount = 4
const ratioMin = 5
/** What the server with presence may take of the floor, or more than it: how long one chunk holds the writer. */
const floorRatio = 1.25
const chunkHoldMillis = 3

const entry = fileURLToPath(new URL("./support/incidentServerEntry.ts", import.meta.url))

const startIncident = async (): Promise<string> => {
  const args = ["--import", "tsx", entry, ...[sessionCount, tickMillis, roundTripMillis].map(String)]
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] })
  const [port] = (await once(child.stdout, "data")) as [Buffer]
  return `http://127.0.0.1:${port.toString().trim()}`
}

export const question: Question = async (report) => {
  const environment = {
    HAPPIER_PRESENCE_FLUSH_INTERVAL_MS: String(tickMillis),
    HAPPIER_PRESENCE_PERSIST_THRESHOLD_MS: "0"
  }
  const account = Client.make()
  const before = await ServerProcess.start({ environment })
  const { directory } = before
  const { accountId } = await Daemon.login(before.url, account)
  await before.stop()
  const ids = ServerProcess.seedSessions(directory, accountId, sessionCount)
  const server = await ServerProcess.start({ directory, environment })
  const daemon = await Daemon.login(server.url, account)
  const socket = await daemon.connect(ids[0] ?? "")
  const startBeating = () => {
    const timer = setInterval(() => {
      for (const sid of ids) socket.emit("session-alive", { sid, time: Date.now(), thinking: false })
    }, tickMillis)
    return () => clearInterval(timer)
  }
  const incidentUrl = await startIncident()

  const ours = Registrations.makeHistogram()
  const alone = Registrations.makeHistogram()
  const theirs = Registrations.makeHistogram()
  for (let turn = 0; turn <= turnCount; turn++) {
    const load = { perSecond, forMillis: turnMillis, seed: turn + 1 }
    const record = (latency: typeof ours, register: () => Promise<void>) =>
      Registrations.record(turn > 0 ? latency : Registrations.makeHistogram(), load, register)
    await record(alone, daemon.register)
    const stop = startBeating()
    await record(ours, daemon.register)
    stop()
    await record(theirs, () => Daemon.registerAt(incidentUrl))
  }
  const p99 = Registrations.percentileMillis(ours, 99)
  const floor = Registrations.percentileMillis(alone, 99)
  const incidentP99 = Registrations.percentileMillis(theirs, 99)
  const isAtFloor = p99 <= floor * floorRatio || p99 - floor <= chunkHoldMillis
  report({
    id: `T4@${sessionCount}`,
    ours: p99,
    theirs: incidentP99,
    unit: "ms p99",
    ratio: incidentP99 / p99,
    target: `ratio >= ${ratioMin}, at the floor`,
    met: incidentP99 / p99 >= ratioMin && isAtFloor,
    note:
      `the floor, without presence: ${Rounds.digits(floor)} ms; p50 ` +
      `${Rounds.digits(Registrations.percentileMillis(ours, 50))} against ` +
      `${Rounds.digits(Registrations.percentileMillis(theirs, 50))} ms`
  })
}
