/** A port that passes on everything to another one, and counts the bytes in both directions. */
import { Effect, type Scope } from "effect"
import * as net from "node:net"

export interface CountingProxy {
  readonly port: number
  /** So far. */
  readonly bytes: () => number
}

export const make = (target: { readonly host: string; readonly port: number }) =>
  Effect.acquireRelease(
    Effect.async<CountingProxy & { readonly close: () => void }>((resume) => {
      const open = new Set<net.Socket>()
      let count = 0
      const server = net.createServer({ noDelay: true }, (client) => {
        const upstream = net.connect({ ...target, noDelay: true })
        const endBoth = () => {
          client.destroy()
          upstream.destroy()
        }
        for (const socket of [client, upstream]) {
          open.add(socket)
          socket.on("data", (piece: Buffer) => void (count += piece.length))
          socket.on("error", endBoth)
          socket.on("close", () => {
            open.delete(socket)
            endBoth()
          })
        }
        client.pipe(upstream).pipe(client)
      })
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as net.AddressInfo
        const close = () => {
          server.close()
          for (const socket of open) socket.destroy()
        }
        resume(Effect.succeed({ port, bytes: () => count, close }))
      })
    }),
    ({ close }) => Effect.sync(close)
  ) satisfies Effect.Effect<CountingProxy, never, Scope.Scope>
