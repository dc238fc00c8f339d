/**
 * Goal: sockets of a server that ends are closed a few at a time, and no new
 * ones are accepted meanwhile, while the port is still open and answers that
 * the server is closing.
 */
import { assert, describe, it } from "@effect/vitest"
import {
  Context,
  Deferred,
  Effect,
  Exit,
  Fiber,
  HashMap,
  Layer,
  Logger,
  Option,
  Scope,
  TestClock,
  TestServices
} from "effect"
import { HttpApp } from "../../src/http/HttpApp.ts"
import { SocketServer } from "../../src/realtime/SocketServer.ts"
import * as Eventually from "proving/drivers/Eventually"
import { addTwoSessions } from "proving/drivers/Rows"
import { TestDatabase } from "../support/TestDatabase.ts"
import { app, daemon, layerWith, TestServer } from "../support/TestServer.ts"

const socketCount = 40

const crowd = Effect.gen(function* () {
  yield* Effect.tap(TestDatabase, addTwoSessions)
  const server = yield* TestServer
  return yield* Effect.replicateEffect(
    Effect.gen(function* () {
      const client = yield* server.client(app("a1"), { reconnection: false })
      client.socket.connect()
      yield* client.next("connect")
      return client
    }),
    socketCount,
    { concurrency: 8 }
  )
})

describe("the end of the sockets", () => {
  it.scoped("is spread over its time, and not longer", () =>
    Effect.gen(function* () {
      const clients = yield* crowd
      const http = yield* HttpApp
      const { io } = yield* SocketServer
      const closed = Effect.sync(() => clients.filter(({ socket }) => !socket.connected).length)
      const untilClosed = (count: number) =>
        TestServices.provideLive(Eventually.until(closed, (closedCount) => closedCount >= count))
      const draining = yield* Effect.fork(http.drain)
      // The first turn of twenty comes at once, and nothing more before the clock moves.
      yield* untilClosed(2)
      assert.isTrue(http.isDraining())
      assert.strictEqual(yield* closed, 2)
      yield* TestClock.adjust("250 millis")
      yield* untilClosed(10)
      const early = yield* closed
      assert.isBelow(early, 26, "five to ten turns are over")
      assert.isTrue((yield* Fiber.poll(draining))._tag === "None")
      yield* TestClock.adjust("750 millis")
      yield* Fiber.join(draining)
      yield* untilClosed(socketCount)
      assert.strictEqual(io.sockets.sockets.size, 0)
      for (const { next, socket } of clients) {
        assert.strictEqual(yield* next("disconnect"), "transport close")
        assert.isTrue(socket.active, "it would come back")
      }
    }).pipe(Effect.provide(layerWith({ closeSpread: "1 second" })))
  )

  it.scoped("begins with the refusal of new ones, in the format of every other answer", () =>
    Effect.gen(function* () {
      yield* crowd
      const http = yield* HttpApp
      const server = yield* TestServer
      const draining = yield* Effect.fork(http.drain)
      yield* Effect.yieldNow().pipe(Effect.repeatN(4))
      const answer = yield* Effect.promise(() => fetch(`${server.url}/v1/updates/?EIO=4&transport=polling`))
      assert.strictEqual(answer.status, 503)
      assert.isNotNull(answer.headers.get("retry-after"))
      assert.deepInclude(Object(yield* Effect.promise(() => answer.json())), {
        error: "The server is shutting down",
        code: "Draining",
        retryable: true
      })
      const late = yield* server.client(app("a1"), { reconnection: false })
      late.socket.connect()
      yield* late.next("connect_error")
      const refused = yield* server.inject({ url: "/v2/cursor" })
      assert.deepStrictEqual([refused.statusCode, refused.headers["connection"]], [503, "close"])
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(draining)
    }).pipe(Effect.provide(layerWith({ closeSpread: "1 second" })))
  )

  it.scoped("does not wait for clients that are held back", () =>
    Effect.gen(function* () {
      const held = yield* Deferred.make<void>()
      const listening = Logger.make(({ annotations }) => {
        const code = Option.getOrUndefined(HashMap.get(annotations, "code"))
        if (code === "MACHINE_UNREGISTERED") Deferred.unsafeDone(held, Effect.void)
      })
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(
        Layer.provide(layerWith(), Logger.replace(Logger.defaultLogger, listening)),
        scope
      )
      const server = Context.get(context, TestServer)
      const { next, socket } = yield* server.client(daemon("a1", "unknown"))
      socket.connect()
      yield* Deferred.await(held)
      socket.io.reconnection(false)
      // No virtual time passes.
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* next("transport"), "transport close")
    })
  )
})
