import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, TestClock, TestServices } from "effect"
import * as DatabaseReader from "../../../src/database/DatabaseReader.ts"
import * as Eventually from "proving/drivers/Eventually"
import { valueOf } from "../../support/Gauges.ts"
import * as PresenceProbe from "../../support/PresenceProbe.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"
import { daemon, layerOver, TestServer } from "../../support/TestServer.ts"
import type * as RealtimeOptions from "../../../src/realtime/RealtimeOptions.ts"

/** A database whose reads of owners wait for `gate`; `onRead` is called as each begins. One may be of several rows. */
const layer = (
  gate: Deferred.Deferred<void>,
  onRead: () => void,
  options: Partial<RealtimeOptions.RealtimeOptions>
) => {
  const reader = Layer.succeed(
    DatabaseReader.DatabaseReader,
    DatabaseReader.fromQuery((sql) =>
      Effect.suspend(() => {
        if (!sql.includes("isRevoked")) return Effect.succeed([])
        onRead()
        const rows = ["m1", "m2", "m3"].map((id) => ({ id, accountId: "a1", isRevoked: 0, isArchived: 0 }))
        return Effect.as(Deferred.await(gate), rows)
      })
    )
  )
  const database = TestDatabase.layer.pipe(Layer.merge(PresenceProbe.layer))
  // The transport of a waiting client is closed by the limit under test, and by no other.
  return layerOver(Layer.merge(database, reader), { connectTimeout: "1 hour", ...options })
}

const untilValue = (gauge: string, value: number) =>
  TestServices.provideLive(Eventually.until(valueOf(gauge), (found) => found === value))

/** Resolves when a read has begun. */
const makeCounter = Effect.map(Deferred.make<void>(), (reached) => {
  let begun = 0
  return {
    reached: Deferred.await(reached),
    begun: () => begun,
    onRead: () => {
      begun += 1
      Deferred.unsafeDone(reached, Effect.void)
    }
  }
})

describe("handshakes", () => {
  it.scoped("are verified in a limited number at once, and one more comes back until it gets in", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      yield* Effect.gen(function* () {
        const server = yield* TestServer
        const connecting = (machine: string) =>
          Effect.tap(server.client(daemon("a1", machine)), ({ socket }) => socket.connect())
        const first = yield* Effect.forEach(["m1", "m2"], connecting)
        yield* untilValue("websocket_handshakes", 2)
        assert.strictEqual(yield* valueOf("websocket_limit", { key: "limit", value: "handshakes" }), 2)
        const third = yield* connecting("m3")
        const { message } = (yield* third.next("connect_error")) as { readonly message: string }
        assert.strictEqual(message, "websocket error")
        yield* Deferred.succeed(gate, undefined)
        for (const client of [...first, third]) yield* client.next("connect")
        yield* third.flush
        assert.strictEqual(yield* valueOf("websocket_handshakes"), 0)
      }).pipe(Effect.provide(layer(gate, () => {}, { handshakeLimit: 2, handshakeQueueLimit: 0 })))
    })
  )

  it.scoped("beyond that wait for their turn, and are counted while they do", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const counter = yield* makeCounter
      yield* Effect.gen(function* () {
        const server = yield* TestServer
        const first = yield* server.client(daemon("a1", "m1"))
        first.socket.connect()
        yield* counter.reached
        const second = yield* server.client(daemon("a1", "m2"))
        second.socket.connect()
        yield* untilValue("websocket_handshakes_waiting", 1)
        assert.strictEqual(yield* valueOf("websocket_handshakes"), 1)
        assert.strictEqual(counter.begun(), 1)
        yield* Deferred.succeed(gate, undefined)
        yield* first.next("connect")
        yield* second.next("connect")
        yield* second.flush
        assert.strictEqual(yield* valueOf("websocket_handshakes_waiting"), 0)
      }).pipe(Effect.provide(layer(gate, counter.onRead, { handshakeLimit: 1, handshakeQueueLimit: 1 })))
    })
  )

  it.scoped("that cannot be verified in time end with the transport, so that the client comes back", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const counter = yield* makeCounter
      yield* Effect.gen(function* () {
        const server = yield* TestServer
        const client = yield* server.client(daemon("a1", "m1"))
        client.socket.connect()
        yield* counter.reached
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual(yield* client.next("transport"), "transport close")
        yield* Deferred.succeed(gate, undefined)
        yield* client.next("connect")
      }).pipe(Effect.provide(layer(gate, counter.onRead, {})))
    })
  )

  it.scoped("that are cancelled do not keep their place", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const counter = yield* makeCounter
      yield* Effect.gen(function* () {
        const server = yield* TestServer
        const client = yield* server.client(daemon("a1", "m1"), { reconnection: false })
        client.socket.connect()
        yield* counter.reached
        client.socket.disconnect()
        const next = yield* server.client(daemon("a1", "m1"))
        yield* Deferred.succeed(gate, undefined)
        next.socket.connect()
        yield* next.next("connect")
      }).pipe(Effect.provide(layer(gate, counter.onRead, { accountSocketLimit: 1, handshakeLimit: 1 })))
    })
  )
})
