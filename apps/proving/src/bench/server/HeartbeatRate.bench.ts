/**
 * T6: heartbeats through socket.io.
 *
 * Eight sockets send heartbeats as fast as the server takes them. On the other
 * side a bare socket.io server decodes and counts, and does nothing else. What
 * is compared is how many heartbeats a server takes per second of its own
 * processor time: the client that sends them costs more than either server, and
 * would make both look alike.
 */
import type { Socket } from "socket.io-client"
import type { Question } from "../Result.ts"
import * as Rounds from "../Rounds.ts"
import * as Client from "../../drivers/AccountClient.ts"
import * as BareServer from "./support/BareServer.ts"
import * as Daemon from "./support/Daemon.ts"
import * as ServerProcess from "./support/ServerProcess.ts"

const socketCount = 8
const sessionCount = 1_000
/** Sent before the sender waits until the server has read them. */
const burst = 500
const roundMillis = 1_500

interface Target {
  readonly pid: number
  readonly sockets: ReadonlyArray<Socket>
}

const startBare = async (): Promise<Target> => {
  const { pid, url } = await BareServer.start()
  const sockets = await Promise.all(Array.from({ length: socketCount }, () => Daemon.connectTo(url, {})))
  return { pid, sockets }
}

/** Heartbeats per second of the server's processor time. */
const rate = async ({ pid, sockets }: Target, ids: ReadonlyArray<string>): Promise<number> => {
  const began = performance.now()
  const usedBefore = ServerProcess.processorMillis(pid)
  let count = 0
  const send = async (socket: Socket) => {
    while (performance.now() - began < roundMillis) {
      const time = Date.now()
      for (let sent = 0; sent < burst; sent++) {
        socket.emit("session-alive", { sid: ids[count++ % ids.length], time, thinking: false })
      }
      await new Promise((resolve) => socket.emit("ping", resolve))
    }
  }
  await Promise.all(sockets.map(send))
  return (count * 1_000) / (ServerProcess.processorMillis(pid) - usedBefore)
}

export const question: Question = async (report) => {
  const account = Client.make()
  const before = await ServerProcess.start()
  const { directory } = before
  const { accountId } = await Daemon.login(before.url, account)
  await before.stop()
  const ids = ServerProcess.seedSessions(directory, accountId, sessionCount)
  const server = await ServerProcess.start({ directory })
  const daemon = await Daemon.login(server.url, account)
  const ours: Target = {
    pid: server.pid,
    sockets: await Promise.all(ids.slice(0, socketCount).map(daemon.connect))
  }
  const bare = await startBare()
  const { ratio, sides } = await Rounds.measure(7, { ours: () => rate(ours, ids), bare: () => rate(bare, ids) })
  report({
    id: `T6@${socketCount}`,
    ours: sides.ours.median,
    theirs: sides.bare.median,
    unit: "events/s",
    ratio: ratio("ours", "bare"),
    target: "ratio >= 0.8",
    met: ratio("ours", "bare") >= 0.8,
    note: `per second of processor time; ${Rounds.spread(sides.ours)} against ${Rounds.spread(sides.bare)}`
  })
}
