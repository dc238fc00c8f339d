import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import http from "node:http"
import type { AddressInfo } from "node:net"
import type { DoctorOptions } from "../../src/operator/DoctorOptions.ts"
import * as NetworkChecks from "../../src/operator/NetworkChecks.ts"
import * as DoctorStand from "./DoctorStand.ts"

const { levels, of } = DoctorStand

interface Behaviour {
  readonly service: string
  /** Lets the upgrade to a websocket through. */
  readonly upgrades: boolean
  /** Answers preflights. */
  readonly allows: boolean
  readonly isSilent: boolean
}

/** Something that listens where clients are sent. */
const front = (behaviour: Partial<Behaviour> = {}) =>
  Effect.acquireRelease(
    Effect.async<{ readonly url: string; readonly server: http.Server }>((resume) => {
      const { allows, isSilent, service, upgrades } = {
        service: "happier-server",
        upgrades: true,
        allows: true,
        isSilent: false,
        ...behaviour
      }
      const server = http.createServer((request, response) => {
        if (isSilent) return
        const origin = request.headers.origin
        if (allows && origin !== undefined) response.setHeader("access-control-allow-origin", origin)
        response.end(JSON.stringify({ version: "1", service }))
      })
      if (upgrades) {
        server.on("upgrade", (_, socket) => {
          socket.end("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        })
      }
      server.listen(0, "127.0.0.1", () =>
        resume(Effect.succeed({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server }))
      )
    }),
    ({ server }) =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  )

const running = { isReady: true, url: "http://127.0.0.1:3005", pid: 7, checks: [] }

const run = (options: Partial<DoctorOptions>) =>
  NetworkChecks.run({ ...DoctorStand.optionsFor("/nowhere/light.sqlite", "/nowhere"), server: running, ...options })

describe("NetworkChecks", () => {
  it.scopedLive("find nothing wrong with a public address that leads here", () =>
    Effect.gen(function* () {
      const { url } = yield* front()
      const options = { publicUrl: url, trustedProxies: ["loopback"], corsOrigins: ["https://app.example.org"] }
      assert.deepStrictEqual(levels(yield* run(options)), {
        D301: "ok",
        D302: "ok",
        D303: "ok",
        D304: "ok",
        D305: "ok",
        D306: "ok"
      })
    })
  )

  it.scopedLive("find that no server runs, and each check of it that fails", () =>
    Effect.gen(function* () {
      const stopped = yield* run({ server: undefined })
      assert.strictEqual(of(stopped, "D301").level, "warning")
      const checks = [{ name: "disk", ok: false, code: "DiskFull", detail: "5 bytes are free" }]
      const unready = of(yield* run({ server: { ...running, isReady: false, checks } }), "D301")
      assert.strictEqual(unready.level, "problem")
      assert.strictEqual(unready.found, "disk: DiskFull: 5 bytes are free")
    })
  )

  it.scopedLive("find an address where nothing, something else, or no answer is", () =>
    Effect.gen(function* () {
      const closed = yield* Effect.scoped(Effect.map(front(), ({ url }) => url))
      assert.include(of(yield* run({ publicUrl: closed }), "D302").found, "ECONNREFUSED")
      const other = yield* front({ service: "another" })
      assert.include(of(yield* run({ publicUrl: other.url }), "D302").found, "something that is not this server")
      const silent = yield* front({ isSilent: true })
      const found = yield* run({ publicUrl: silent.url })
      assert.deepInclude(levels(found), { D302: "problem" })
    })
  )

  it.scopedLive("find a proxy that lets no websocket through", () =>
    Effect.gen(function* () {
      const { url } = yield* front({ upgrades: false })
      const found = of(yield* run({ publicUrl: url }), "D303")
      assert.strictEqual(found.level, "problem")
      assert.strictEqual(found.found, "status 200 instead of 101")
    })
  )

  it.scopedLive("find a proxy that is not trusted, and preflights that are not answered", () =>
    Effect.gen(function* () {
      const { url } = yield* front({ allows: false })
      const found = yield* run({ publicUrl: url, corsOrigins: ["https://app.example.org"] })
      assert.strictEqual(of(found, "D304").level, "warning")
      assert.include(of(found, "D304").fix, "HAPPIER_TRUSTED_PROXIES")
      assert.strictEqual(of(found, "D305").level, "problem")
      assert.include(of(found, "D305").found, "https://app.example.org")
    })
  )

  it.scopedLive("find a server that only this machine reaches, and one without TLS", () =>
    Effect.gen(function* () {
      const { url } = yield* front()
      const server = { ...running, url }
      assert.include(of(yield* run({ server }), "D306").cause, "a phone does not")
      assert.include(of(yield* run({ server, host: "0.0.0.0" }), "D306").cause, "clear text")
    })
  )
})
