/**
 * T3: the tail of registrations while presence flushes.
 *
 * New machines are registered at random times, each durable before its answer,
 * while 0, 9, 1 000 or 10 000 sessions beat once per tick and every tick writes
 * all of them. One server, and the four loads take turns on it. The load comes
 * from another process than the server, from this one.
 */
import type { Question } from "../Result.ts"
import * as Rounds from "../Rounds.ts"
import * as Client from "../../drivers/AccountClient.ts"
import * as Beating from "./support/Beating.ts"
import * as Daemon from "./support/Daemon.ts"
import * as Registrations from "./support/Registrations.ts"
import * as ServerProcess from "./support/ServerProcess.ts"

const sizes = [0, 9, 1_000, 10_000]
const tickMillis = 2_000
const perSecond = 50
const turnMillis = 2 * tickMillis
const turnCount = 5
/** What a registration may wait for a chunk: its hold, by default 3 ms, and the round trip of the thread. */
const chunkHoldMillis = 8

const environment = {
  HAPPIER_PRESENCE_FLUSH_INTERVAL_MS: String(tickMillis),
  HAPPIER_PRESENCE_PERSIST_THRESHOLD_MS: "0"
}

export const question: Question = async (report) => {
  const account = Client.make()
  const before = await ServerProcess.start({ environment })
  const { directory } = before
  const { accountId } = await Daemon.login(before.url, account)
  await before.stop()
  const ids = ServerProcess.seedSessions(directory, accountId, Math.max(...sizes))
  const server = await ServerProcess.start({ directory, environment })
  const daemon = await Daemon.login(server.url, account)
  const socket = await daemon.connect(ids[0] ?? "")
  const histograms = new Map(sizes.map((size) => [size, Registrations.makeHistogram()]))

  for (let turn = 0; turn <= turnCount; turn++) {
    for (const [size, latency] of histograms) {
      const quiet = Beating.start(socket, ids.slice(0, size), tickMillis)
      const counted = turn === 0 ? Registrations.makeHistogram() : latency
      await Registrations.record(counted, { perSecond, forMillis: turnMillis, seed: turn + 1 }, daemon.register)
      quiet()
    }
  }

  const idle = histograms.get(0) ?? Registrations.makeHistogram()
  const idleMillis = Registrations.percentileMillis(idle, 99)
  for (const [size, latency] of histograms) {
    if (size === 0) continue
    const ours = Registrations.percentileMillis(latency, 99)
    const p50 = Registrations.percentileMillis(latency, 50)
    report({
      id: `T3@${size}`,
      ours,
      theirs: idleMillis,
      unit: "ms p99",
      ratio: ours / idleMillis,
      target: `ratio <= 1.25, <= ${chunkHoldMillis} ms more`,
      met: ours / idleMillis <= 1.25 && ours - idleMillis <= chunkHoldMillis,
      note: `p50 ${Rounds.digits(p50)} against ${Rounds.digits(Registrations.percentileMillis(idle, 50))} ms`
    })
  }
  socket.disconnect()
  await server.stop()
}
