/** A built web app beside the API: what is served, how long it may be kept, and what never is. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import type { InjectOptions } from "fastify"
import fs from "node:fs"
import os from "node:os"
import path from "node:path"
import { Authenticator } from "../../src/door/Authenticator.ts"
import { Unauthorized } from "../../src/Failure.ts"
import * as HttpApp from "../../src/http/HttpApp.ts"
import { cacheControlOf } from "../../src/http/WebApp.ts"

const Nobody = Layer.succeed(Authenticator, { verify: () => new Unauthorized({ error: "Invalid token" }) })

const files: Readonly<Record<string, string>> = {
  "index.html": "<title>app</title>",
  "favicon.ico": "icon",
  ".env": "canary",
  "_expo/static/js/web/entry-0123456789abcdef0123456789abcdef.js": "code"
}

/** A folder with a build, a neighbour that must never be read, and a link to it. */
const folder = Effect.acquireRelease(
  Effect.sync(() => {
    const box = fs.mkdtempSync(path.join(os.tmpdir(), "web-app-"))
    for (const [name, text] of Object.entries(files)) {
      const file = path.join(box, "build", name)
      fs.mkdirSync(path.dirname(file), { recursive: true })
      fs.writeFileSync(file, text)
    }
    fs.writeFileSync(path.join(box, "secret.txt"), "canary")
    fs.symlinkSync(path.join(box, "secret.txt"), path.join(box, "build", "link.txt"))
    return box
  }),
  (box) => Effect.sync(() => fs.rmSync(box, { recursive: true }))
)

const App = (options: HttpApp.Options = {}) =>
  Layer.unwrapScoped(
    Effect.map(folder, (box) =>
      Layer.effectDiscard(
        Effect.flatMap(HttpApp.HttpApp, (http) => http.register((app) => app.get("/v1/thing", () => ({ ok: true }))))
      ).pipe(
        Layer.provideMerge(
          HttpApp.layer({ webAppDirectory: path.join(box, "build"), ...options }).pipe(Layer.provide(Nobody))
        )
      )
    )
  )

const inject = (request: InjectOptions) =>
  Effect.flatMap(HttpApp.HttpApp, ({ fastify }) => Effect.promise(() => fastify.inject(request)))

const page = (url: string): InjectOptions => ({ url, headers: { accept: "text/html,*/*" } })

describe("a web app", () => {
  it.scoped(
    "is served at the root and at its own paths, never cached without revalidation, with a content policy of its own",
    () =>
      Effect.gen(function* () {
        for (const url of ["/", "/index.html", "/session/abc", "/settings?tab=1"]) {
          const response = yield* inject(page(url))
          assert.deepStrictEqual([response.statusCode, response.body], [200, files["index.html"]], url)
          assert.strictEqual(response.headers["cache-control"], "no-cache", url)
          assert.include(response.headers["content-security-policy"], "'wasm-unsafe-eval'", url)
          assert.include(response.headers["content-security-policy"], "frame-ancestors 'none'", url)
          assert.include(response.headers["content-type"], "text/html", url)
        }
      }).pipe(Effect.provide(App()))
  )

  it.scoped("has files with a hash in their name, which may be kept for ever", () =>
    Effect.gen(function* () {
      const response = yield* inject({ url: `/${Object.keys(files)[3]}` })
      assert.deepStrictEqual([response.statusCode, response.body], [200, "code"])
      assert.strictEqual(response.headers["cache-control"], "public, max-age=31536000, immutable")
      assert.strictEqual((yield* inject({ url: "/favicon.ico" })).headers["cache-control"], "no-cache")
    }).pipe(Effect.provide(App()))
  )

  it("knows the names that builds make", () => {
    for (const file of ["/x/assets/index-BfD3kd9s.js", "a.3f2a9c41.css", "entry-0123456789abcdef.js"]) {
      assert.include(cacheControlOf(file), "immutable", file)
    }
    for (const file of ["index.html", "manifest.json", "a-0123456789.html", "service-worker.js"]) {
      assert.strictEqual(cacheControlOf(file), "no-cache", file)
    }
  })

  it.scoped("never hides a route, nor the answer to a route that does not exist", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* inject(page("/v1/thing"))).json(), { ok: true })
      for (const request of [
        page("/v1/none"),
        { url: "/missing.js", headers: { accept: "*/*" } },
        { ...page("/session/abc"), method: "POST" as const }
      ]) {
        const response = yield* inject(request)
        assert.strictEqual(response.statusCode, 404)
        assert.strictEqual(response.json<{ error: string }>().error, "Not found")
      }
    }).pipe(Effect.provide(App()))
  )

  it.scoped("is the folder and nothing outside of it", () =>
    Effect.gen(function* () {
      for (const url of [
        "/link.txt",
        "/.env",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/_expo/..%2f..%2f..%2fsecret.txt",
        "/%00",
        "/..%5csecret.txt"
      ]) {
        const response = yield* inject({ url })
        assert.isAtLeast(response.statusCode, 400, url)
        assert.isBelow(response.statusCode, 500, url)
        assert.notInclude(response.body, "canary", url)
      }
    }).pipe(Effect.provide(App()))
  )
})
