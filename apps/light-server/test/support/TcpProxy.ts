/** A proxy in front of a service that a test freezes, cuts and mends; the service itself is never touched. */
import { Effect, type Scope } from "effect"
import * as net from "node:net"

export interface TcpProxy {
  readonly port: number
  /** Nothing passes any more, and nothing is closed. New connections open, and are never answered. */
  readonly freeze: () => void
  /** Nothing passes any more over the connections that are open, and neither end learns of it. New ones work. */
  readonly strand: () => void
  /** Every connection breaks, and new ones are refused by breaking them. */
  readonly cut: () => void
  readonly mend: () => void
  readonly connectionCount: () => number
}

export const make = (target: {
  readonly host: string
  readonly port: number
}): Effect.Effect<TcpProxy, never, Scope.Scope> =>
  Effect.gen(function* () {
    const pairs = new Set<readonly [net.Socket, net.Socket]>()
    const stranded = new Set<readonly [net.Socket, net.Socket]>()
    let state: "open" | "frozen" | "cut" = "open"
    const server = net.createServer((client) => {
      if (state === "cut") return client.destroy()
      const upstream = net.connect(target)
      const pair = [client, upstream] as const
      pairs.add(pair)
      const end = () => {
        pairs.delete(pair)
        for (const side of pair) side.destroy()
      }
      for (const [from, to] of [pair, pair.toReversed() as [net.Socket, net.Socket]]) {
        from.on("error", end).on("close", end)
        from.on("data", (bytes) => to.write(bytes))
        if (state === "frozen") from.pause()
      }
      return undefined
    })
    yield* Effect.acquireRelease(
      Effect.promise(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))),
      () =>
        Effect.sync(() => {
          for (const pair of [...pairs, ...stranded]) for (const side of pair) side.destroy()
          server.close()
        })
    )
    return {
      port: (server.address() as net.AddressInfo).port,
      connectionCount: () => pairs.size,
      freeze: () => {
        state = "frozen"
        for (const pair of pairs) for (const side of pair) side.pause()
      },
      strand: () => {
        for (const pair of pairs) {
          for (const side of pair)
            side
              .removeAllListeners()
              .on("error", () => {})
              .pause()
          stranded.add(pair)
        }
        pairs.clear()
      },
      cut: () => {
        state = "cut"
        for (const pair of pairs) for (const side of pair) side.destroy()
      },
      mend: () => {
        state = "open"
        for (const pair of pairs) for (const side of pair) side.resume()
      }
    }
  })
