/**
 * Goal: the answers of the server about itself to clients, load balancers and
 * people, also when nothing can be written.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import * as Eventually from "../../src/drivers/Eventually.ts"
import * as Shapes from "../../src/contract/Shapes.ts"
import { contract, demand, Wire } from "../../src/contract/Wire.ts"

const machine = () => ({ id: crypto.randomUUID(), metadata: "m" })

contract("Health", (it) => {
  it.effect("answers the root path", () =>
    Effect.gen(function* () {
      const { call } = yield* Wire
      assert.strictEqual(yield* call("GET /", 200), "Welcome to Happier Server!")
    })
  )

  it.effect("reports that it is alive, that it is ready, and its version", () =>
    Effect.gen(function* () {
      const { call } = yield* Wire
      yield* call("GET /livez", 200)
      yield* call("GET /health", 200)
      yield* call("GET /v2/health", 200)
      const { version } = yield* call("GET /version", 200)
      assert.match(version, /^\d+\.\d+\.\d+/)
      for (const route of ["GET /readyz", "GET /healthz"] as const) {
        const { checks } = yield* call(route, 200)
        assert.isTrue(checks.every(({ ok }) => ok))
      }
    })
  )

  it.effect("reports no newer version of an app, and requires the version of the client", () =>
    Effect.gen(function* () {
      const { call } = yield* Wire
      yield* call("POST /v1/version", 200, { body: { platform: "ios", version: "1.0.0", app_id: "a" } })
      const { message } = yield* call("POST /v1/version", 400, { body: { platform: "ios", version: "1.0.0" } })
      assert.strictEqual(message, "body/app_id is required")
    })
  )

  it.effect("counts in the format of Prometheus", () =>
    Effect.gen(function* () {
      const { call } = yield* Wire
      const text = yield* call("GET /metrics", 200)
      for (const line of text.split("\n").filter((line) => line !== ""))
        assert.match(line, /^(# (HELP|TYPE) \w+ .+|\w+(\{.*\})? [-+.\w]+)$/)
      assert.include(text, "http_request_seconds_bucket{")
    })
  )

  it.effect("shows the status page and the metrics on this machine, and hides them from what a proxy passes on", () =>
    Effect.gen(function* () {
      const { call } = yield* Wire
      const headers = { "x-forwarded-for": "192.0.2.1" }
      assert.include(yield* call("GET /status", 200), "<title>Light server</title>")
      assert.include(yield* call("GET /status/:file", 200, { params: { file: "status.js" } }), "applyPatch")
      yield* call("GET /status/:file", 404, { params: { file: "missing.js" } })
      yield* call("GET /status", 404, { headers })
      yield* call("GET /status/:file", 404, { params: { file: "status.js" }, headers })
      yield* call("GET /metrics", 404, { headers })
    })
  )

  it.effect("distinguishes an unknown route from an unknown entity", () =>
    Effect.gen(function* () {
      const { person, request } = yield* Wire
      const { token } = yield* person()
      const headers = { authorization: `Bearer ${token}` }
      for (const [method, path] of [
        ["GET", "/v1/unknown?limit=1"],
        ["POST", "/v1/unknown"],
        ["PUT", "/v1/sessions"],
        ["GET", "/v1/auth"]
      ] as const) {
        const { data, status } = yield* request(method, path, { headers })
        assert.deepStrictEqual({ status, data }, { status: 404, data: { error: "Not found", path, method } })
        demand(path, Shapes.NoRoute, data)
      }
    })
  )

  it.effect("refuses a body that is no JSON, of another media type, or larger than it takes", () =>
    Effect.gen(function* () {
      const { person, request } = yield* Wire
      const { token } = yield* person()
      const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" }
      const broken = yield* request("POST", "/v1/machines", { headers, body: Buffer.from("{") })
      assert.strictEqual(broken.status, 400)
      demand("no JSON", Shapes.BadJson, broken.data)
      const form = yield* request("POST", "/v1/version", { body: new URLSearchParams({ platform: "ios" }) })
      assert.strictEqual(form.status, 415)
      demand("no JSON either", Shapes.BadMedia, form.data)
      const body = { ...machine(), metadata: "m".repeat(1_048_576) }
      const large = yield* request("POST", "/v1/machines", { headers, body })
      assert.strictEqual(large.status, 413)
      demand("too large", Shapes.TooLarge, large.data)
    })
  )

  it.scoped("is not healthy while nothing can be written, but still alive", () =>
    Effect.gen(function* () {
      const { call, person, request, server } = yield* Wire
      const somebody = yield* person()
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* server.database.lock
          yield* somebody.call("POST /v1/machines", 503, { body: machine() })
          yield* call("GET /health", 503)
          for (const route of ["GET /readyz", "GET /healthz"] as const) {
            const { checks } = yield* call(route, 503)
            assert.deepStrictEqual(
              checks.flatMap(({ ok, code }) => (ok ? [] : [code])),
              ["DatabaseBusy"]
            )
          }
          yield* call("GET /livez", 200)
          yield* call("GET /v2/health", 200)
        })
      )
      yield* Eventually.until(request("GET", "/health"), ({ status }) => status === 200)
    })
  )
})
