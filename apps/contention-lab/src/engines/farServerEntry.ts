/** The thread of `FarServer`: a port that passes on everything, one way late. */
import * as net from "node:net"
import { parentPort, workerData } from "node:worker_threads"
import type { Endpoint } from "../postgres/PostgresAddress.ts"

export interface FarServerTerms {
  readonly endpoint: Endpoint
  readonly delayMillis: number
}

const { delayMillis, endpoint } = workerData as FarServerTerms

/** Passes on each piece when it is due, in order: timers of the same length end in the order in which they began. */
const passLate = (from: net.Socket, to: net.Socket): void => {
  const late = (act: () => void) => void setTimeout(() => void (to.destroyed || act()), delayMillis)
  from.on("data", (piece) => late(() => to.write(piece)))
  from.on("end", () => late(() => to.end()))
}

const server = net.createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
  const upstream = net.connect({ ...endpoint, noDelay: true })
  passLate(client, upstream)
  upstream.pipe(client)
  const endBoth = () => {
    client.destroy()
    upstream.destroy()
  }
  for (const socket of [client, upstream]) socket.on("close", endBoth).on("error", endBoth)
})

server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  parentPort?.postMessage(typeof address === "object" && address !== null ? address.port : 0)
})
