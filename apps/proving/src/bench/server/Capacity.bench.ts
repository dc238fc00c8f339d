/**
 * S4: accounts as people use them, with ten open apps each.
 *
 * Each account has a machine and nine sessions, each with a socket of its own
 * that beats, and ten apps that are told about all of them. Another account
 * registers machines. The other side of a registration is the same before any of
 * the accounts beat.
 */
import type { Socket } from "socket.io-client"
import type { Question } from "../Result.ts"
import * as Rounds from "../Rounds.ts"
import * as Daemon from "./support/Daemon.ts"
import * as Registrations from "./support/Registrations.ts"
import * as ServerProcess from "./support/ServerProcess.ts"

const appCount = 10
const sessionCount = 9
const plans = [
  { accounts: 5, beatMillis: 2_000 },
  { accounts: 25, beatMillis: 2_000 },
  { accounts: 50, beatMillis: 2_000 },
  { accounts: 50, beatMillis: 250 }
]
const perSecond = 20
const watchedMillis = 10_000

interface Row {
  readonly socket: Socket
  readonly beat: () => void
}

/** The machine and the sessions of a new account, and its apps. */
const openAccount = async (url: string, index: number): Promise<ReadonlyArray<Row>> => {
  const daemon = await Daemon.login(url)
  const machineId = `capacity-machine-${index}`
  const machine = await Daemon.post(`${url}/v1/machines`, { id: machineId, metadata: "m" }, daemon.token)
  if (machine.status !== 200) throw new Error(`machine: ${machine.status} ${machine.text}`)
  const auth = { token: daemon.token, clientType: "machine-scoped", machineId }
  const machineSocket = await Daemon.connectTo(url, auth)
  const rows: Array<Row> = [
    { socket: machineSocket, beat: () => machineSocket.emit("machine-alive", { machineId, time: Date.now() }) }
  ]
  for (let count = 0; count < sessionCount; count++) {
    const sid = await daemon.openSession(`tag-${count}`)
    const socket = await daemon.connect(sid)
    rows.push({ socket, beat: () => socket.emit("session-alive", { sid, time: Date.now(), thinking: false }) })
  }
  for (let count = 0; count < appCount; count++) await daemon.connectApp()
  return rows
}

export const question: Question = async (report) => {
  const preloaded = new URL("./support/loopProbe.mjs", import.meta.url)
  const server = await ServerProcess.start({ preloaded })
  const other = await Daemon.login(server.url)
  const registrations = async () => {
    const latency = Registrations.makeHistogram()
    await Registrations.record(latency, { perSecond, forMillis: watchedMillis, seed: 1 }, other.register)
    return Registrations.percentileMillis(latency, 99)
  }
  await registrations()
  const idleP99 = await registrations()
  const rows: Array<Row> = []
  let opened = 0
  for (const { accounts, beatMillis } of plans) {
    while (opened < accounts) rows.push(...(await openAccount(server.url, opened++)))
    // Spread over the interval, as those of people are.
    const timers = rows.map(({ beat }, index) => {
      let repeating: NodeJS.Timeout | undefined
      const first = setTimeout(
        () => {
          beat()
          repeating = setInterval(beat, beatMillis)
        },
        (index * beatMillis) / rows.length
      )
      return () => {
        clearTimeout(first)
        clearInterval(repeating)
      }
    })
    await server.loopGaps()
    const usedBefore = ServerProcess.processorMillis(server.pid)
    const p99 = await registrations()
    const load = (ServerProcess.processorMillis(server.pid) - usedBefore) / watchedMillis
    const gaps = await server.loopGaps()
    for (const stop of timers) stop()
    const beatsPerSecond = (rows.length * 1_000) / beatMillis
    const memory = ServerProcess.residentBytes(server.pid) / 2 ** 20
    report({
      id: `S4@${accounts}/${Rounds.digits(beatsPerSecond)}`,
      ours: p99,
      theirs: idleP99,
      unit: "ms p99",
      ratio: p99 / idleP99,
      target: "none",
      met: true,
      note:
        `${accounts} accounts, ${rows.length} rows, ${rows.length + accounts * appCount} sockets, ` +
        `${Rounds.digits(beatsPerSecond)} beats/s: loop delay p99 ${Rounds.digits(gaps.p99)}, ` +
        `max ${Rounds.digits(gaps.max)} ms, ${Rounds.digits(load * 100)} % of a core, ${Rounds.digits(memory)} MB`
    })
  }
  await server.stop()
}
