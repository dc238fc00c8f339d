/**
 * Goal: a database that is far away costs its distance once for each wait, and loses nothing.
 * Method: a server that says everything back, through the thread of the lab. Times have lower limits only.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as net from "node:net"
import { once } from "node:events"
import * as FarServer from "../../src/engines/FarServer.ts"

const delayMillis = 60

const echo = Effect.acquireRelease(
  Effect.promise(async () => {
    const server = net.createServer({ allowHalfOpen: true }, (socket) => void socket.pipe(socket))
    server.listen(0, "127.0.0.1")
    await once(server, "listening")
    return { server, port: (server.address() as net.AddressInfo).port }
  }),
  ({ server }) => Effect.promise(() => new Promise((resolve) => void server.close(resolve)))
)

describe("FarServer", () => {
  it.scopedLive("passes on everything in order, late on one way only", () =>
    Effect.gen(function* () {
      const { port } = yield* echo
      const far = yield* FarServer.make(`postgres://me:p%40ss@127.0.0.1:${port}/lab`, delayMillis)
      assert.match(far, /^postgres:\/\/me:p%40ss@127\.0\.0\.1:\d+\/lab$/)
      yield* Effect.promise(async () => {
        const socket = net.connect({ host: "127.0.0.1", port: Number(new URL(far).port), noDelay: true })
        await once(socket, "connect")
        const pieces = Array.from({ length: 200 }, (_, index) => `piece ${index};`)
        const began = performance.now()
        for (const piece of pieces) socket.write(piece)
        let heard = ""
        let firstMillis = 0
        socket.on("data", (data) => {
          if (heard === "") firstMillis = performance.now() - began
          heard += String(data)
        })
        socket.end()
        await once(socket, "close")
        const wholeMillis = performance.now() - began
        assert.strictEqual(heard, pieces.join(""))
        // A timer may end a millisecond early.
        assert.isAtLeast(firstMillis, delayMillis - 2)
        // 200 waits, one after the other, would take 12 s.
        assert.isBelow(wholeMillis, (pieces.length * delayMillis) / 2)
      })
    })
  )

  it.scopedLive("closes the connection of a caller when there is no server", () =>
    Effect.gen(function* () {
      const { port, server } = yield* Effect.scoped(echo)
      assert.isFalse(server.listening)
      const far = yield* FarServer.make(`postgres://me@127.0.0.1:${port}/lab`, 1)
      yield* Effect.promise(async () => {
        const socket = net.connect(Number(new URL(far).port), "127.0.0.1")
        socket.on("error", () => undefined)
        await once(socket, "close")
      })
    })
  )
})
