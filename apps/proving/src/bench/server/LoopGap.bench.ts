/**
 * T8: how long the event loop of the server stands still under faults.
 *
 * A probe in the server's process measures the gaps between turns of its loop while machines are registered, a thousand
 * sessions beat, and another program disturbs the file or the sockets. The other side is the same server under the same
 * load in the same run without a fault: on a busy machine it has gaps, too, that no fault of the catalogue causes.
 * Faults that need rights or tools that a benchmark must not ask for are left to `npm run prove -- faults`.
 */
import type { Question } from "../Result.ts"
import * as Rounds from "../Rounds.ts"
import * as Client from "../../drivers/AccountClient.ts"
import * as Daemon from "./support/Daemon.ts"
import * as Fault from "./support/Fault.ts"
import * as Registrations from "./support/Registrations.ts"
import * as ServerProcess from "./support/ServerProcess.ts"

const sessionCount = 1_000
const faultMillis = 3_000
const tickMillis = 1_000
const p99Limit = 20
const maxLimit = 100
const perSecond = 20

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
  const preloaded = new URL("./support/loopProbe.mjs", import.meta.url)
  const server = await ServerProcess.start({ directory, environment, preloaded })
  const daemon = await Daemon.login(server.url, account)
  const socket = await daemon.connect(ids[0] ?? "")
  setInterval(() => {
    const time = Date.now()
    for (const sid of ids) socket.emit("session-alive", { sid, time, thinking: false })
  }, tickMillis)

  const gapsUnder = async (fault: Fault.Fault) => {
    await server.loopGaps()
    const load = { perSecond, forMillis: faultMillis, seed: 1 }
    const registering = Registrations.record(Registrations.makeHistogram(), load, daemon.register)
    await fault.inflict(server, daemon, faultMillis)
    const gaps = await server.loopGaps()
    await registering
    return gaps
  }

  await gapsUnder(Fault.none)
  for (const fault of Fault.all) {
    const quiet = await gapsUnder(Fault.none)
    const { max, p99 } = await gapsUnder(fault)
    report({
      id: `T8@${fault.name}`,
      ours: max,
      theirs: quiet.max,
      unit: "ms max",
      ratio: max / quiet.max,
      target: `max < ${maxLimit} ms, p99 < ${p99Limit}`,
      met: p99 < p99Limit && max < maxLimit,
      note: `p99 ${Rounds.digits(p99)} ms, without the fault ${Rounds.digits(quiet.p99)} ms`
    })
  }
}
