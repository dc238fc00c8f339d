/**
 * S3: what a connected socket costs the server that does nothing else: memory,
 * and processor time while each sends a heartbeat every two seconds. The other
 * side is the same with a tenth of the sockets, per socket.
 */
import { setTimeout as sleep } from "node:timers/promises"
import type { Socket } from "socket.io-client"
import type { Question } from "../Result.ts"
import * as Rounds from "../Rounds.ts"
import * as Client from "../../drivers/AccountClient.ts"
import * as Daemon from "./support/Daemon.ts"
import * as ServerProcess from "./support/ServerProcess.ts"

const sizes = [100, 1_000]
const beatMillis = 2_000
const watchedMillis = 10_000

export const question: Question = async (report) => {
  const account = Client.make()
  const before = await ServerProcess.start()
  const { directory } = before
  const { accountId } = await Daemon.login(before.url, account)
  await before.stop()
  const ids = ServerProcess.seedSessions(directory, accountId, Math.max(...sizes))
  const server = await ServerProcess.start({ directory })
  const daemon = await Daemon.login(server.url, account)
  const emptyBytes = ServerProcess.residentBytes(server.pid)
  const sockets: Array<Socket> = []
  let small: { readonly bytes: number; readonly load: number } | undefined
  for (const size of sizes) {
    while (sockets.length < size) sockets.push(await daemon.connect(ids[sockets.length] ?? ""))
    const timer = setInterval(() => {
      const time = Date.now()
      for (const [index, socket] of sockets.entries()) socket.emit("session-alive", { sid: ids[index], time })
    }, beatMillis)
    await sleep(beatMillis)
    const usedBefore = ServerProcess.processorMillis(server.pid)
    await sleep(watchedMillis)
    clearInterval(timer)
    const load = (ServerProcess.processorMillis(server.pid) - usedBefore) / watchedMillis
    const bytes = (ServerProcess.residentBytes(server.pid) - emptyBytes) / size
    small ??= { bytes, load: load / size }
    const note = `${Rounds.digits(emptyBytes / 2 ** 20)} MB without sockets`
    const point = { target: "none", met: true, note }
    const kilobytes = { ours: bytes / 1024, theirs: small.bytes / 1024, ratio: bytes / small.bytes }
    report({ id: `S3@${size}/memory`, ...kilobytes, unit: "KB", ...point })
    const perMille = { ours: (load * 1e6) / size, theirs: small.load * 1e6, ratio: load / size / small.load }
    report({
      id: `S3@${size}/load`,
      ...perMille,
      unit: "us/s",
      ...point,
      note: `${Rounds.digits(load * 100)} % of a core`
    })
  }
}
