import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { once } from "node:events"
import net from "node:net"
import { io } from "socket.io-client"
import { Server } from "socket.io"
import { Authenticator } from "../../src/door/Authenticator.ts"
import { Unauthorized } from "../../src/Failure.ts"
import * as HttpApp from "../../src/http/HttpApp.ts"
import * as HttpListener from "../../src/http/HttpListener.ts"
import * as SubPath from "../../src/http/SubPath.ts"

const nobody = Layer.succeed(Authenticator, { verify: () => Effect.fail(new Unauthorized({ error: "Invalid token" })) })

/** A route, and sockets that answer, on a free port. */
const listen = (options: { readonly host: string; readonly subPath?: string }) =>
  Effect.gen(function* () {
    const context = yield* Layer.build(HttpApp.layer().pipe(Layer.provide(nobody)))
    const http = Context.get(context, HttpApp.HttpApp)
    yield* http.register((app) => {
      app.get("/route", (request) => ({ url: request.url }))
    })
    yield* Effect.acquireRelease(
      Effect.sync(() => new Server(http.fastify.server, { path: "/v1/updates" })),
      (sockets) => Effect.promise(() => sockets.close())
    )
    const listener = HttpListener.layer({ port: 0, closeTimeout: "5 seconds", ...options })
    return Context.get(
      yield* Layer.build(Layer.provide(listener, Layer.succeedContext(context))),
      HttpListener.HttpListener
    )
  })

const get = (url: string) =>
  Effect.promise(() => fetch(url).then(async (response) => [response.status, await response.json()] as const))

const isConnected = (url: string, path: string, transport: "polling" | "websocket") =>
  Effect.acquireUseRelease(
    Effect.sync(() => io(url, { path, transports: [transport], upgrade: false, forceNew: true, reconnection: false })),
    (socket) =>
      Effect.async<boolean>((resume) => {
        socket.on("connect", () => resume(Effect.succeed(true)))
        socket.on("connect_error", () => resume(Effect.succeed(false)))
      }),
    (socket) => Effect.sync(() => socket.disconnect())
  )

/** Whether this machine has ::1. */
const hasIpv6 = Effect.promise(async () => {
  const probe = net.createServer().listen(0, "::1")
  return once(probe, "listening").then(
    () => new Promise<boolean>((resolve) => probe.close(() => resolve(true))),
    () => false
  )
})

describe("HttpListener", () => {
  it.scopedLive("serves requests, polls and websockets below a path, and at the root as well", () =>
    Effect.gen(function* () {
      const { url } = yield* listen({ host: "127.0.0.1", subPath: "/happier" })
      assert.deepStrictEqual(yield* get(`${url}/happier/route?x=1`), [200, { url: "/route?x=1" }])
      assert.deepStrictEqual(yield* get(`${url}/route`), [200, { url: "/route" }])
      assert.strictEqual((yield* get(`${url}/happiest/route`))[0], 404)
      for (const path of ["/happier/v1/updates", "/v1/updates"]) {
        for (const transport of ["polling", "websocket"] as const) {
          assert.isTrue(yield* isConnected(url, path, transport), `${transport} at ${path}`)
        }
      }
      assert.isFalse(yield* isConnected(url, "/happiest/v1/updates", "polling"))
    })
  )

  it.scopedLive("serves no path prefix unless one is configured", () =>
    Effect.gen(function* () {
      const { url } = yield* listen({ host: "127.0.0.1" })
      assert.strictEqual((yield* get(`${url}/happier/route`))[0], 404)
    })
  )

  it.scopedLive("listens on both addresses of localhost, with one server behind them", () =>
    Effect.gen(function* () {
      const { port, url } = yield* listen({ host: "localhost" })
      assert.strictEqual(url, `http://localhost:${port}`)
      const addresses = (yield* hasIpv6) ? ["127.0.0.1", "[::1]"] : ["127.0.0.1"]
      for (const address of addresses) {
        const base = `http://${address}:${port}`
        assert.strictEqual((yield* get(`${base}/route`))[0], 200, address)
        for (const transport of ["polling", "websocket"] as const) {
          assert.isTrue(yield* isConnected(base, "/v1/updates", transport), `${transport} at ${address}`)
        }
      }
    })
  )

  it.scopedLive("closes both addresses, and can open them again", () =>
    Effect.gen(function* () {
      const { port } = yield* Effect.scoped(listen({ host: "localhost" }))
      for (const host of ["127.0.0.1", "::1"]) {
        const outcome = yield* Effect.async<string>((resume) => {
          const socket = net.connect({ host, port }, () => resume(Effect.succeed("open")))
          socket.on("error", () => resume(Effect.succeed("closed")))
        })
        assert.strictEqual(outcome, "closed", host)
      }
    })
  )

  it.scopedLive("fails when another program has the second address", () =>
    Effect.gen(function* () {
      if (!(yield* hasIpv6)) return
      const other = net.createServer().listen(0, "::1")
      yield* Effect.acquireRelease(
        Effect.promise(() => once(other, "listening")),
        () => Effect.promise(() => new Promise((resolve) => other.close(resolve)))
      )
      const { port } = other.address() as net.AddressInfo
      const context = yield* Layer.build(HttpApp.layer().pipe(Layer.provide(nobody)))
      const failure = yield* HttpListener.layer({ host: "localhost", port, closeTimeout: "5 seconds" }).pipe(
        Layer.provide(Layer.succeedContext(context)),
        Layer.build,
        Effect.flip
      )
      assert.strictEqual(failure.code, "EADDRINUSE")
    })
  )
})

describe("SubPath", () => {
  it("is the path of a public URL", () => {
    assert.strictEqual(SubPath.of(undefined), "")
    assert.strictEqual(SubPath.of("https://a.example"), "")
    assert.strictEqual(SubPath.of("https://a.example/x/y/"), "/x/y")
  })

  for (const [target, stripped] of [
    ["/x", "/"],
    ["/x/", "/"],
    ["/x?a=/x", "/?a=/x"],
    ["/x/v1/x/y", "/v1/x/y"],
    ["/xy", "/xy"],
    ["/v1/x/y", "/v1/x/y"],
    ["*", "*"]
  ] as const) {
    it(`makes ${stripped} of ${target} below /x`, () => {
      assert.strictEqual(SubPath.strip("/x", target), stripped)
    })
  }
})
