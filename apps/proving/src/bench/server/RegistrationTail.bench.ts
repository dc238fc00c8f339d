/**
 * T3: the tail of registrations while presence flushes.
 *
 * New machines are registered at random times, each durable before its answer,
 * while 0, 9, 1 000 or 10 000 sessions beat once per tick and every tick writes
 * all of them. One server, and the four loads take turns on it. The load comes
 * from another process than the server, from this one.
 */
import type { Question } from "../Result.ts"
import * as Client from "../../drivers/AccountClient.ts"
import * as Beating from "./support/Beating.ts"
import * as Daemon from "./support/Daemon.ts"
import * as RegistrationRounds from "./support/RegistrationRounds.ts"
import * as ServerProcess from "./support/ServerProcess.ts"

const sessionCount = 10_000
const tickMillis = 2_000
const perSecond = 50
const turnMillis = 3 * tickMillis
const roundCount = 6
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
  const ids = ServerProcess.seedSessions(directory, accountId, sessionCount)
  const server = await ServerProcess.start({ directory, environment })
  const daemon = await Daemon.login(server.url, account)
  const socket = await daemon.connect(ids[0] ?? "")
  const beating = (size: number) => () => Beating.start(socket, ids.slice(0, size), tickMillis)
  const tails = await RegistrationRounds.measure(
    roundCount,
    { perSecond, turnMillis, register: daemon.register },
    { idle: beating(0), few: beating(9), many: beating(1_000), most: beating(sessionCount) }
  )
  const theirs = tails.sides.idle.median
  for (const [name, size] of [
    ["few", 9],
    ["many", 1_000],
    ["most", sessionCount]
  ] as const) {
    const ours = tails.sides[name].median
    const ratio = tails.ratio(name, "idle")
    report({
      id: `T3@${size}`,
      ours,
      theirs,
      unit: "ms p99",
      ratio,
      target: `ratio <= 1.25, <= ${chunkHoldMillis} ms more`,
      met: ratio <= 1.25 && ours - theirs <= chunkHoldMillis,
      note: tails.together(name, "idle")
    })
  }
  socket.disconnect()
  await server.stop()
}
