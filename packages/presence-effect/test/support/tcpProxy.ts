/** Stands between an engine and its server, and breaks the connection at a moment that the test chooses. */
import * as Effect from "effect/Effect"
import * as net from "node:net"

/**
 * - `pass`: forwards everything.
 * - `cut`: breaks the connection when a commit is asked for, before the server has seen it.
 * - `deafen`: lets the server commit, and breaks the connection instead of passing on its answer.
 * - `stall`: forwards nothing any more, and leaves the connection open.
 */
export type Mode = "pass" | "cut" | "deafen" | "stall"

export interface TcpProxy {
  readonly port: number
  mode: Mode
  /** Breaks every connection that is open, and refuses new ones from now on. */
  readonly goAway: () => Promise<void>
  readonly comeBack: () => Promise<void>
}

/** Not the level of isolation. */
const isCommit = (chunk: Buffer): boolean => /COMMIT(?!TED)/.test(chunk.toString("latin1"))

const forward = (proxy: TcpProxy, client: net.Socket, target: number): net.Socket => {
  const server = net.connect(target, "127.0.0.1")
  let isDeaf = false
  const breakBoth = () => {
    client.destroy()
    server.destroy()
  }
  client.on("data", (chunk: Buffer) => {
    if (proxy.mode === "stall") return
    if (proxy.mode === "cut" && isCommit(chunk)) return breakBoth()
    if (proxy.mode === "deafen" && isCommit(chunk)) isDeaf = true
    server.write(chunk)
  })
  server.on("data", (chunk: Buffer) => {
    if (proxy.mode === "stall") return
    if (isDeaf) return breakBoth()
    client.write(chunk)
  })
  for (const socket of [client, server]) socket.on("close", breakBoth).on("error", breakBoth)
  return server
}

/** Forwards to `target` on the loopback interface, until the scope closes. */
export const makeProxy = (target: number) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const open = new Set<net.Socket>()
      const server = net.createServer((client) => {
        for (const socket of [client, forward(proxy, client, target)]) {
          open.add(socket)
          socket.on("close", () => open.delete(socket))
        }
      })
      const listen = (port: number) => new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve))
      await listen(0)
      const { port } = server.address() as net.AddressInfo
      const proxy: TcpProxy = {
        port,
        mode: "pass",
        goAway: () =>
          new Promise((resolve) => {
            server.close(() => resolve())
            for (const socket of open) socket.destroy()
          }),
        comeBack: () => listen(port)
      }
      return proxy
    }),
    (proxy) => Effect.promise(proxy.goAway)
  )

/** The address of a server, but through the proxy. */
export const through = (url: string, { port }: TcpProxy): string => {
  const address = new URL(url)
  address.hostname = "127.0.0.1"
  address.port = String(port)
  return address.href
}
