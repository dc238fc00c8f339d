/**
 * Limits of a body before its schema is checked: depth, Unicode, emptiness, and
 * its size without an account.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import type { InjectOptions } from "fastify"
import { Readable } from "node:stream"
import { Authenticator } from "../../src/door/Authenticator.ts"
import { Unauthorized } from "../../src/Failure.ts"
import { anonymousBytesMax } from "../../src/http/BodyLimit.ts"
import * as HttpApp from "../../src/http/HttpApp.ts"
import { isDeeperThan } from "../../src/http/JsonBody.ts"

const OneToken = Layer.succeed(Authenticator, {
  verify: (token) => (token === "good" ? Effect.succeed("account") : new Unauthorized({ error: "Invalid token" }))
})

/** What the handler found as the body of its request. */
interface Seen {
  readonly body: unknown
}

const Named = Schema.Struct({ name: Schema.NullOr(Schema.String.pipe(Schema.maxLength(9))) })

const App = Layer.effectDiscard(
  Effect.flatMap(HttpApp.HttpApp, (http) =>
    http.register((app) => {
      const seen = (request: { readonly body: unknown }) => ({ body: request.body ?? "none" })
      app.post("/open", seen)
      app.delete("/open", seen)
      app.get("/open", seen)
      app.post("/named", { schema: { body: Named } }, seen)
      app.post("/account", { onRequest: http.authenticate }, (request) => ({
        length: JSON.stringify(request.body).length
      }))
    })
  )
).pipe(Layer.provideMerge(HttpApp.layer().pipe(Layer.provide(OneToken))))

const inject = (request: InjectOptions) =>
  Effect.flatMap(HttpApp.HttpApp, ({ fastify }) => Effect.promise(() => fastify.inject(request)))

const json = (payload: string, url = "/open", more: Record<string, string> = {}): InjectOptions => ({
  method: "POST",
  url,
  payload,
  headers: { "content-type": "application/json", ...more }
})

const good = { authorization: "Bearer good" }

const nested = (levels: number) => `${"[".repeat(levels)}${"]".repeat(levels)}`

describe("a body", () => {
  it.scoped("may be nested 64 levels deep, and one that is deeper is refused whatever its route takes", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* inject(json(nested(64)))).statusCode, 200)
      for (const levels of [65, 2500, 4000]) {
        for (const url of ["/open", "/named"]) {
          const response = yield* inject(json(nested(levels), url))
          assert.deepStrictEqual(response.json(), {
            error: "Error",
            message: "body is nested deeper than 64 levels",
            statusCode: 400
          })
        }
      }
      for (const levels of [5000, 100_000]) {
        assert.strictEqual((yield* inject(json(nested(levels), "/account", good))).statusCode, 400)
      }
    }).pipe(Effect.provide(App))
  )

  it("is measured outside of its texts", () => {
    assert.isFalse(isDeeperThan(JSON.stringify({ a: "[[[[{{{{", b: ['\\"[[[[', "\\\\"], "[[\\": {} }), 2))
    assert.isTrue(isDeeperThan('["\\\\",[[]]]', 2))
    assert.isFalse(isDeeperThan('"[[[', 0))
    assert.isFalse(isDeeperThan(`"${"\\".repeat(100_001)}"[[[`, 0))
  })

  it.scoped("contains no unpaired surrogate", () =>
    Effect.gen(function* () {
      for (const text of [String.raw`"\ud800"`, String.raw`{"\uDC00":1}`, String.raw`[["a\ud83d"]]`]) {
        const response = yield* inject(json(text))
        assert.strictEqual(response.statusCode, 400, text)
        assert.strictEqual(response.json<{ message: string }>().message, "body holds a text that is not valid Unicode")
      }
      for (const text of [String.raw`"\ud83d\ude00"`, String.raw`"\\ud800"`, '"\u{1f600}"']) {
        assert.deepStrictEqual<Seen>((yield* inject(json(text))).json(), { body: JSON.parse(text) as unknown })
      }
    }).pipe(Effect.provide(App))
  )

  it.scoped(
    "that is empty and labelled as JSON counts as no body for GET and DELETE, and an empty object otherwise",
    () =>
      Effect.gen(function* () {
        for (const [method, body] of [
          ["GET", "none"],
          ["DELETE", "none"],
          ["POST", {}]
        ] as const) {
          const response = yield* inject({ method, url: "/open", headers: { "content-type": "application/json" } })
          assert.deepStrictEqual<Seen>(response.json(), { body })
        }
      }).pipe(Effect.provide(App))
  )

  it.scoped("that is no JSON is a SyntaxError, and the answer does not repeat it", () =>
    Effect.gen(function* () {
      for (const text of ["{", "canary", '{"canary":', '{"__proto__":{"canary":1}}']) {
        const response = yield* inject(json(text))
        assert.deepStrictEqual(response.json(), {
          error: "SyntaxError",
          message: "body is not valid JSON",
          statusCode: 400
        })
      }
    }).pipe(Effect.provide(App))
  )

  it.scoped("that does not fit is answered with a short text, whatever its size", () =>
    Effect.gen(function* () {
      for (const [body, message] of [
        [{ name: Array.from({ length: 100_000 }, () => "canary") }, "body/name Expected "],
        [{ ["canary".repeat(100)]: 1 }, "body/name is required"],
        [Array.from({ length: 100_000 }, () => "canary"), "body Expected "]
      ] as const) {
        const response = yield* inject(json(JSON.stringify(body), "/named", good))
        const answer = response.json<{ readonly message: string }>()
        assert.strictEqual(response.statusCode === 400 || response.statusCode === 413, true)
        assert.notInclude(response.body, "canary")
        if (response.statusCode === 400) assert.include(answer.message, message)
        assert.isBelow(response.body.length, 500)
      }
    }).pipe(Effect.provide(App))
  )
})

describe("a body without an account", () => {
  const text = (bytes: number) => `"${"x".repeat(bytes - 2)}"`

  it.scoped("is at most 8 KB, with or without a content length", () =>
    Effect.gen(function* () {
      const chunked = (payload: string): InjectOptions => ({
        ...json(""),
        headers: { "content-type": "application/json", "transfer-encoding": "chunked" },
        payload: Readable.from([payload.slice(0, 100), payload.slice(100)])
      })
      for (const request of [json, chunked]) {
        assert.strictEqual((yield* inject(request(text(anonymousBytesMax)))).statusCode, 200)
        const refused = yield* inject(request(text(anonymousBytesMax + 1)))
        assert.deepStrictEqual(refused.json(), {
          error: "Error",
          message: "Request body is too large",
          statusCode: 413
        })
        // A body that is known to end may be sent completely.
        assert.strictEqual(refused.headers.connection === "close", request === chunked)
      }
    }).pipe(Effect.provide(App))
  )

  it.scoped("is bounded by its route once there is one", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* inject(json(text(1_000_000), "/account", good))).statusCode, 200)
      assert.strictEqual((yield* inject(json(text(1_100_000), "/account", good))).statusCode, 413)
    }).pipe(Effect.provide(App))
  )
})
