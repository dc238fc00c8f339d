/**
 * Goal: pages cost a bounded amount, whatever they do.
 * Method: the feed over a real socket server with snapshots of the test, and
 * clients that read, do not read, or send.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Ref } from "effect"
import type { IncomingMessage } from "node:http"
import type { AddressInfo } from "node:net"
import { io, type Socket } from "socket.io-client"
import { Authenticator } from "../../src/door/Authenticator.ts"
import type { Decision } from "../../src/door/OperatorAccess.ts"
import * as HttpApp from "../../src/http/HttpApp.ts"
import * as RealtimeOptions from "../../src/realtime/RealtimeOptions.ts"
import * as SocketServer from "../../src/realtime/SocketServer.ts"
import type { JsonObject } from "../../src/status/StatusDelta.ts"
import * as StatusFeed from "../../src/status/StatusFeed.ts"
import { StatusSnapshot } from "../../src/status/StatusSnapshot.ts"

const nobody = Layer.succeed(Authenticator, { verify: () => Effect.dieMessage("a page shows no token") })

interface World {
  readonly url: string
  readonly snapshot: Ref.Ref<JsonObject>
  readonly refreshCount: Ref.Ref<number>
}

const withFeed = <A, E>(
  test: (world: World) => Effect.Effect<A, E, never>,
  decide: (request: IncomingMessage) => Decision = () => "granted"
) =>
  Effect.gen(function* () {
    const snapshot = yield* Ref.make<JsonObject>({ a: 1, big: "x".repeat(100) })
    const refreshCount = yield* Ref.make(0)
    const snapshots = Layer.succeed(StatusSnapshot, {
      take: Ref.get(snapshot),
      refresh: Ref.update(refreshCount, (count) => count + 1),
      isOutdated: () => false
    })
    const server = StatusFeed.layer(decide).pipe(
      Layer.provide(snapshots),
      Layer.provideMerge(SocketServer.layer(RealtimeOptions.defaults)),
      Layer.provideMerge(HttpApp.layer()),
      Layer.provide(nobody)
    )
    yield* Effect.gen(function* () {
      const { fastify } = yield* HttpApp.HttpApp
      yield* Effect.promise(() => fastify.listen({ host: "127.0.0.1", port: 0 }))
      const { port } = fastify.server.address() as AddressInfo
      yield* test({ url: `http://127.0.0.1:${port}`, snapshot, refreshCount })
    }).pipe(Effect.provide(server), Effect.scoped)
  })

const dial = (url: string): Socket =>
  io(url + StatusFeed.namespace, {
    path: "/v1/updates",
    transports: ["websocket"],
    forceNew: true,
    reconnection: false
  })

const event = (socket: Socket, name: string) =>
  Effect.async<unknown>((resume) => void socket.once(name, (value: unknown) => resume(Effect.succeed(value))))

const nextMessage = (socket: Socket) =>
  Effect.async<StatusFeed.Message>((resume) => {
    socket.once("status", (message: StatusFeed.Message, answer: () => void) => {
      answer()
      resume(Effect.succeed(message))
    })
  })

describe("StatusFeed", () => {
  it.live("sends the whole once, and then only what changed", () =>
    withFeed(({ snapshot, url }) =>
      Effect.gen(function* () {
        const socket = dial(url)
        const first = yield* nextMessage(socket)
        assert.deepStrictEqual(first.snapshot, { a: 1, big: "x".repeat(100) })
        yield* Ref.update(snapshot, (before) => ({ ...before, a: 2 }))
        const second = yield* nextMessage(socket)
        assert.deepStrictEqual(second.patch, { a: 2 })
        assert.isUndefined(second.snapshot)
        socket.disconnect()
      })
    )
  )

  it.live("has one message under way to a page that does not answer, and the next one says everything since", () =>
    withFeed(({ snapshot, url }) =>
      Effect.gen(function* () {
        const slow = dial(url)
        const witness = dial(url)
        let received = 0
        let answerFirst: () => void = () => {}
        const patched = new Promise<StatusFeed.Message>((resolve) => {
          slow.on("status", (message: StatusFeed.Message, answer: () => void) => {
            received += 1
            if (received === 1) answerFirst = answer
            else resolve(message)
          })
        })
        yield* nextMessage(witness)
        for (const a of [2, 3, 4]) {
          yield* Ref.update(snapshot, (before) => ({ ...before, a }))
          assert.deepStrictEqual((yield* nextMessage(witness)).patch, { a })
        }
        assert.strictEqual(received, 1)
        answerFirst()
        assert.deepStrictEqual((yield* Effect.promise(() => patched)).patch, { a: 4 })
        slow.disconnect()
        witness.disconnect()
      })
    )
  )

  it.live("lets in so many pages and no more, and one more when a page has left", () =>
    withFeed(({ url }) =>
      Effect.gen(function* () {
        const pages = Array.from({ length: StatusFeed.viewerMax }, () => dial(url))
        yield* Effect.forEach(pages, (page) => event(page, "connect"), { concurrency: "unbounded" })
        const late = dial(url)
        assert.include(String(yield* event(late, "connect_error")), "Too many pages are open")
        pages[0]?.disconnect()
        const admitted = Effect.async<boolean>((resume) => {
          const again = dial(url)
          again.once("connect", () => resume(Effect.succeed(true)))
          again.once("connect_error", () => resume(Effect.succeed(false)))
        })
        yield* Effect.repeat(admitted, { until: (isIn) => isIn })
        for (const page of pages) page.disconnect()
      })
    )
  )

  it.live("does not let in anyone but the operator", () =>
    withFeed(
      ({ url }) =>
        Effect.gen(function* () {
          assert.include(String(yield* event(dial(url), "connect_error")), "Only the operator may look")
        }),
      () => "hidden"
    )
  )

  it.live("ends a page that sends something", () =>
    withFeed(({ url }) =>
      Effect.gen(function* () {
        const socket = dial(url)
        yield* event(socket, "connect")
        socket.emit("anything")
        assert.strictEqual(yield* event(socket, "disconnect"), "io server disconnect")
      })
    )
  )

  it.live("reads nothing while no page is open", () =>
    withFeed(({ refreshCount, url }) =>
      Effect.gen(function* () {
        assert.strictEqual(yield* Ref.get(refreshCount), 0)
        const socket = dial(url)
        yield* nextMessage(socket)
        assert.strictEqual(yield* Ref.get(refreshCount), 1)
        socket.disconnect()
      })
    )
  )
})
