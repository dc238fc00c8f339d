import { assert, describe, it } from "@effect/vitest"
import { Effect, TestClock } from "effect"
import { EventEmitter } from "node:events"
import { defaults } from "../../../src/realtime/RealtimeOptions.ts"
import * as OutgoingGuard from "../../../src/realtime/sending/OutgoingGuard.ts"
import type { Socket } from "../../../src/realtime/Socket.ts"

/** A socket with only the methods that the guard uses. Its transport accepts nothing until it is `writable`. */
const makeSocket = () => {
  const transport = { writable: false }
  const stream = { writableLength: 100_000 }
  const log: Array<string> = []
  const conn = Object.assign(new EventEmitter(), {
    transport,
    request: { socket: stream },
    close: () => void log.push("closed")
  })
  const socket = Object.assign(new EventEmitter(), {
    conn,
    rooms: new Set<string>(),
    join: (room: string) => void log.push(`joins ${room}`),
    leave: (room: string) => void log.push(`leaves ${room}`)
  })
  return { conn, log, socket: socket as unknown as Socket, stream, transport }
}

const watched = (guard: OutgoingGuard.OutgoingGuard) => {
  const made = makeSocket()
  guard.watch(made.socket, { overflow: () => void made.log.push("overflow"), lagging: () => {} })
  const send = (bytes: number) => made.conn.emit("packetCreate", { data: "x".repeat(bytes) })
  return { ...made, send }
}

describe("OutgoingGuard", () => {
  it.scoped("closes a socket that takes nothing for 10 s, and none that takes a little", () =>
    Effect.gen(function* () {
      const guard = yield* OutgoingGuard.make(defaults)
      const [stuck, slow, idle] = [watched(guard), watched(guard), watched(guard)]
      for (const { conn, send } of [stuck, slow]) {
        send(1000)
        conn.emit("flush")
      }
      void idle
      for (let seconds = 0; seconds < 20; seconds++) {
        slow.stream.writableLength -= 1000
        yield* TestClock.adjust("1 second")
        if (seconds === 8) assert.deepStrictEqual(stuck.log, [])
      }
      assert.deepStrictEqual(stuck.log, ["overflow", "closed"])
      assert.deepStrictEqual(slow.log, [])
      assert.deepStrictEqual(idle.log, [])
    })
  )

  it.scoped("drops what was sent through the transport", () =>
    Effect.gen(function* () {
      const guard = yield* OutgoingGuard.make({ ...defaults, outgoingTotalBytesMax: 5000 })
      const [one, two] = [watched(guard), watched(guard)]
      one.send(4000)
      one.conn.emit("flush")
      one.transport.writable = true
      yield* TestClock.adjust("1 second")
      two.send(4000)
      assert.deepStrictEqual([...one.log, ...two.log], [])
    })
  )

  it.scoped("closes the socket for which most waits when too much waits for all", () =>
    Effect.gen(function* () {
      const guard = yield* OutgoingGuard.make({ ...defaults, outgoingTotalBytesMax: 10_000 })
      const [small, large, last] = [watched(guard), watched(guard), watched(guard)]
      small.send(2000)
      large.send(6000)
      last.send(3000)
      yield* Effect.promise(() => Promise.resolve())
      assert.deepStrictEqual(large.log, ["overflow", "closed"])
      assert.deepStrictEqual([...small.log, ...last.log], [])
    })
  )
})
