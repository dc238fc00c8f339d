import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Authenticator } from "../../src/door/Authenticator.ts"
import * as HttpApp from "../../src/http/HttpApp.ts"

const nobody = Layer.succeed(Authenticator, { verify: () => Effect.dieMessage("the root asks for no token") })

const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

const get = (accept: string | undefined, options: HttpApp.Options = {}) =>
  Effect.flatMap(HttpApp.HttpApp, ({ fastify }) =>
    Effect.promise(() => fastify.inject({ url: "/", headers: accept === undefined ? {} : { accept } }))
  ).pipe(Effect.provide(Layer.provide(HttpApp.layer(options), nobody)))

describe("WelcomePage", () => {
  it.scoped("is the text that clients look for, whatever they accept", () =>
    Effect.gen(function* () {
      for (const accept of [undefined, "*/*", "application/json, text/plain, */*", "text/plain"]) {
        const { body, headers, statusCode } = yield* get(accept, { leadsToStatus: () => true })
        assert.deepStrictEqual([statusCode, body], [200, "Welcome to Happier Server!"])
        assert.include(headers["content-type"], "text/plain")
        assert.strictEqual(headers["vary"], "Accept")
      }
    })
  )

  it.scoped("says in a browser what this is, and keeps the text", () =>
    Effect.gen(function* () {
      const { body, headers } = yield* get(browser)
      assert.include(headers["content-type"], "text/html")
      assert.include(body, "Welcome to Happier Server!")
      assert.include(body, 'href="status"')
      assert.notInclude(body, "<script")
      assert.notInclude(body, "style=")
    })
  )

  it.scoped("leads the browser of the operator to the status page, below the same path", () =>
    Effect.gen(function* () {
      const { headers, statusCode } = yield* get(browser, { leadsToStatus: () => true })
      assert.deepStrictEqual([statusCode, headers["location"]], [302, "status"])
    })
  )

  it.scoped("varies with the origin too, where origins are allowed", () =>
    Effect.gen(function* () {
      const { headers } = yield* get(browser, { corsOrigins: ["https://a.example", "https://b.example"] })
      assert.match(String(headers["vary"]), /Accept.*Origin|Origin.*Accept/)
    })
  )
})
