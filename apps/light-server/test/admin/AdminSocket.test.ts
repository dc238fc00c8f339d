import { assert, describe, it } from "@effect/vitest"
import { Effect, Either, Exit, Layer, Schema, Scope } from "effect"
import fs from "node:fs"
import net from "node:net"
import path from "node:path"
import * as TemporaryDirectory from "proving/drivers/TemporaryDirectory"
import * as AdminClient from "../../src/admin/AdminClient.ts"
import * as AdminProtocol from "../../src/admin/AdminProtocol.ts"
import * as AdminSocket from "../../src/admin/AdminSocket.ts"
import { NotFound } from "../../src/Failure.ts"
import * as Logging from "../../src/log/Logging.ts"

const Word = Schema.Struct({ word: Schema.String })

const served = (directory: string) =>
  AdminSocket.layer({
    path: path.join(directory, AdminProtocol.socketName),
    routes: Effect.succeed((app, answer) => {
      app.get("/word", (_, reply) => answer(reply, Effect.succeed({ word: "yes" })))
      app.get("/missing", (_, reply) => answer(reply, Effect.fail(new NotFound({ what: "Account" }))))
      app.get("/broken", (_, reply) => answer(reply, Effect.die("broken")))
      app.get("/silent", () => new Promise(() => {}))
    })
  })

/** Serves until the scope closes, and answers with the codes that were logged. */
const serve = (directory: string) =>
  Effect.gen(function* () {
    const codes: Array<unknown> = []
    const log = Logging.layer({ level: "info", write: (line) => codes.push(JSON.parse(line).code) })
    yield* Layer.build(Layer.provide(served(directory), log))
    return codes
  })

const ask = (directory: string, route: string, withinMillis?: number) =>
  AdminClient.ask(
    directory,
    { method: "GET", path: route, ...(withinMillis === undefined ? {} : { withinMillis }) },
    Word
  )

const failureOf = (directory: string, route: string, withinMillis?: number) =>
  Effect.flip(ask(directory, route, withinMillis))

const listen = (file: string) =>
  Effect.acquireRelease(
    Effect.async<net.Server>((resume) => {
      const server = net.createServer()
      server.listen(file, () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.async<void>((resume) => void server.close(() => resume(Effect.void)))
  )

describe("AdminSocket", () => {
  it.scopedLive("answers on a socket that only its owner may use", () =>
    Effect.gen(function* () {
      const directory = yield* TemporaryDirectory.make
      assert.deepStrictEqual(yield* serve(directory), [])
      assert.deepStrictEqual(yield* ask(directory, "/word"), { word: "yes" })
      assert.strictEqual(fs.statSync(path.join(directory, AdminProtocol.socketName)).mode & 0o777, 0o600)
    })
  )

  it.scopedLive("turns failures, defects and unknown routes into typed refusals", () =>
    Effect.gen(function* () {
      const directory = yield* TemporaryDirectory.make
      yield* serve(directory)
      const refusals = yield* Effect.forEach(["/missing", "/broken", "/unknown"], (route) =>
        Effect.map(failureOf(directory, route), (failure) => [
          failure._tag,
          failure._tag === "AdminRefused" ? failure.status : 0,
          failure._tag === "AdminRefused" ? failure.code : undefined
        ])
      )
      assert.deepStrictEqual(refusals, [
        ["AdminRefused", 404, "NotFound"],
        ["AdminRefused", 500, "RequestDefect"],
        ["AdminRefused", 404, undefined]
      ])
    })
  )

  it.scopedLive("waits for an answer no longer than its caller wants", () =>
    Effect.gen(function* () {
      const directory = yield* TemporaryDirectory.make
      yield* serve(directory)
      assert.deepInclude(yield* failureOf(directory, "/silent", 20), {
        _tag: "AdminUnanswered",
        reason: "none within 20 ms"
      })
    })
  )

  it.scopedLive("removes the socket when it ends; without one, the client says that no server runs", () =>
    Effect.gen(function* () {
      const directory = yield* TemporaryDirectory.make
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(served(directory), scope)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(fs.readdirSync(directory), [])
      const failure = yield* failureOf(directory, "/word")
      assert.deepInclude(failure, { _tag: "ServerNotRunning", code: "ENOENT" })
      assert.include(failure.message, "happier-light-server serve")
    })
  )

  it.scopedLive("takes the place of a socket that a killed process left", () =>
    Effect.gen(function* () {
      const directory = yield* TemporaryDirectory.make
      const file = path.join(directory, AdminProtocol.socketName)
      // Closing a socket removes it; under another name it stays, as after a kill.
      yield* Effect.scoped(
        Effect.zipRight(
          listen(`${file}.old`),
          Effect.sync(() => fs.renameSync(`${file}.old`, file))
        )
      )
      assert.deepInclude(yield* failureOf(directory, "/word"), { _tag: "ServerNotRunning", code: "ECONNREFUSED" })
      assert.deepStrictEqual(yield* serve(directory), [])
      assert.deepStrictEqual(yield* ask(directory, "/word"), { word: "yes" })
    })
  )

  it.scopedLive("keeps the socket of another server and files that are not sockets, and warns", () =>
    Effect.gen(function* () {
      const taken = yield* TemporaryDirectory.make
      yield* listen(path.join(taken, AdminProtocol.socketName))
      assert.deepStrictEqual(yield* serve(taken), ["ADMIN_SOCKET"])

      const occupied = yield* TemporaryDirectory.make
      fs.writeFileSync(path.join(occupied, AdminProtocol.socketName), "kept")
      assert.deepStrictEqual(yield* serve(occupied), ["ADMIN_SOCKET"])
      assert.strictEqual(fs.readFileSync(path.join(occupied, AdminProtocol.socketName), "utf8"), "kept")

      const deep = path.join(yield* TemporaryDirectory.make, "d".repeat(100))
      fs.mkdirSync(deep)
      assert.deepStrictEqual(yield* serve(deep), ["ADMIN_SOCKET"])
    })
  )

  it.scopedLive("tells an answer of another version from a refusal", () =>
    Effect.gen(function* () {
      const directory = yield* TemporaryDirectory.make
      yield* serve(directory)
      const request = { method: "GET", path: "/word" } as const
      const outcome = yield* Effect.either(AdminClient.ask(directory, request, AdminProtocol.Status))
      assert.strictEqual(Either.isLeft(outcome) ? outcome.left._tag : undefined, "AdminUnanswered")
    })
  )
})
