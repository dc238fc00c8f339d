/**
 * S3: what a connected socket costs the server that does nothing else: memory,
 * and processor time while each sends a heartbeat every two seconds. The other
 * side is the same with a tenth of the sockets, per socket.
 */
import { setTimeout as sleep } from "node:timers/promises"
import type { Socket } from "socket.io-client"
import type { Question } from "../Result.ts"
import * as Rounds from "../Rounds.ts"
import * as Daemon from "./support/Daemon.ts"
import * as ServerProcess from "./support/ServerProcess.ts"

const sizes = [100, 1_000]
const beatMillis = 2_000
const watchedMillis = 10_000

/** An account may have 200. */
const ofAccount = 100

export const question: Question = async (report) => {
  const server = await ServerProcess.start()
  const emptyBytes = ServerProcess.residentBytes(server.pid)
  const sockets: Array<Socket> = []
  const ids: Array<string> = []
  let daemon = await Daemon.login(server.url)
  let small: { readonly bytes: number; readonly load: number } | undefined
  for (const size of sizes) {
    while (sockets.length < size) {
      if (sockets.length % ofAccount === 0) daemon = await Daemon.login(server.url)
      const id = await daemon.openSession(`tag-${sockets.length}`)
      ids.push(id)
      sockets.push(await daemon.connect(id))
    }
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
