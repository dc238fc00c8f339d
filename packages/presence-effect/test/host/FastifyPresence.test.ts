import { assert, describe, it } from "@effect/vitest"
import Database from "better-sqlite3"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import Fastify, { type FastifyInstance } from "fastify"
import * as fs from "node:fs"
import * as path from "node:path"
import * as FastifyPresence from "../../src/host/FastifyPresence.ts"
import * as HttpFailure from "../../src/writer/HttpFailure.ts"
import * as Lane from "../../src/writer/Lane.ts"
import * as ForeignLock from "../../src/testing/ForeignLock.ts"
import * as Write from "../../src/writer/Write.ts"
import { gate } from "../support/gate.ts"
import { writerErrors } from "../support/writerErrors.ts"
import { readRows, temporaryDatabase, temporaryDirectory } from "../support/temporaryFile.ts"
import { kinds, machine } from "../support/kinds.ts"

const table = (name: string) => `CREATE TABLE ${name} (
  id TEXT PRIMARY KEY, accountId TEXT NOT NULL,
  active INTEGER NOT NULL DEFAULT 0, lastActiveAt INTEGER NOT NULL DEFAULT 0);`
const tables = `${table("Session")} ${table("Machine")}`

/** A server with one route that registers a machine and reports its first sign of life. */
const house = (options: Partial<FastifyPresence.PluginOptions> = {}) =>
  Effect.gen(function* () {
    const filename = options.filename ?? (yield* temporaryDatabase(tables))
    const lines: Array<string> = []
    const app = Fastify({ logger: { level: "info", stream: { write: (line: string) => lines.push(line) } } })
    yield* Effect.addFinalizer(() => Effect.promise(() => app.close()))
    app.register(FastifyPresence.plugin, { filename, kinds, ...options })
    app.register(async (child) => {
      child.post<{ readonly Params: { readonly id: string } }>("/machines/:id", async ({ params }, reply) => {
        const { id } = params
        await child.presence.write(
          Lane.control,
          Write.statement("INSERT INTO Machine (id, accountId) VALUES (?, 'a1')", [id])
        )
        child.presence.beat(machine("a1", id), Date.now())
        return reply.code(201).send({ id })
      })
    })
    return { app, filename, lines }
  })

const machines = (filename: string) => readRows(filename, "SELECT id, active FROM Machine ORDER BY id")

describe("FastifyPresence", () => {
  it.scopedLive("decorates the server and its children, and flushes when the server closes", () =>
    Effect.gen(function* () {
      const { app, filename } = yield* house()
      yield* Effect.promise(async () => app.ready())
      const created = yield* Effect.promise(() => app.inject({ method: "POST", url: "/machines/m1" }))
      assert.strictEqual(created.statusCode, 201)
      const again = yield* Effect.promise(() => app.inject({ method: "POST", url: "/machines/m1" }))
      assert.deepStrictEqual(
        [again.statusCode, again.json()],
        [
          409,
          { error: "The write conflicts with stored data", code: "WriteRejected", written: "nothing", retryable: false }
        ]
      )
      assert.strictEqual(app.presence.status().presence.trackedCount, 1)
      assert.deepStrictEqual(machines(filename), [{ id: "m1", active: 0 }])
      yield* Effect.promise(() => app.close())
      assert.strictEqual(app.presence.status().writer.state, "closed")
      assert.deepStrictEqual(machines(filename), [{ id: "m1", active: 1 }])
    })
  )

  it.scopedLive("answers a registration under a real foreign lock within the lane's deadline, and after it", () =>
    Effect.gen(function* () {
      const { app, filename } = yield* house()
      yield* Effect.promise(async () => app.ready())
      const lock = yield* Scope.make()
      yield* Scope.extend(ForeignLock.hold(filename), lock)
      const startedAt = Date.now()
      const refused = yield* Effect.promise(() => app.inject({ method: "POST", url: "/machines/m1" }))
      assert.strictEqual(refused.statusCode, 503)
      assert.deepInclude(refused.json<Record<string, unknown>>(), {
        error: "The database is busy",
        code: "DatabaseBusy",
        written: "nothing"
      })
      assert.match(String(refused.headers["retry-after"]), /^[12]$/)
      assert.isBelow(Date.now() - startedAt, 2_000)
      yield* Scope.close(lock, Exit.void)
      const accepted = yield* Effect.promise(() => app.inject({ method: "POST", url: "/machines/m1" }))
      assert.strictEqual(accepted.statusCode, 201)
    })
  )

  it.scopedLive("closes a host that is still starting when Fastify gives it up", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase(tables)
      const foreign = new Database(filename)
      foreign.exec("BEGIN EXCLUSIVE")
      const app = Fastify({ pluginTimeout: 50 })
      app.register(FastifyPresence.plugin, { filename, kinds, openTimeout: "1 minute" })
      const failure = yield* Effect.flip(Effect.tryPromise(async () => app.ready()))
      assert.match(String(failure.error), /did not start in time/)
      const closing = app.close().then(() => "closed")
      const meanwhile = new Promise((resolve) => setTimeout(() => resolve("waits"), 50))
      assert.strictEqual(yield* Effect.promise(() => Promise.race([closing, meanwhile])), "waits")
      foreign.exec("ROLLBACK")
      foreign.close()
      assert.strictEqual(yield* Effect.promise(() => closing), "closed")
      assert.isFalse(fs.existsSync(`${filename}-wal`), "no connection is open")
    })
  )

  it.scopedLive("lets a request in flight write before it closes, over a real socket", () =>
    Effect.gen(function* () {
      const { app, filename } = yield* house()
      const entered = gate()
      const released = gate()
      app.get("/slow", async (_, reply) => {
        entered.open()
        await released.promise
        await app.presence.write(
          Lane.control,
          Write.statement("INSERT INTO Machine (id, accountId) VALUES ('late', 'a1')")
        )
        // A server that closes must not wait for an idle connection of its client.
        return reply.header("connection", "close").send({ state: app.presence.status().writer.state })
      })
      const address = yield* Effect.promise(() => app.listen({ host: "127.0.0.1", port: 0 }))
      const answer = fetch(`${address}/slow`).then((response) => response.json())
      yield* Effect.promise(() => entered.promise)
      const closing = app.close()
      // From here on Fastify waits for the request alone: whatever was to end before it has ended.
      while (app.server.listening) yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      released.open()
      assert.deepStrictEqual(yield* Effect.promise(() => answer), { state: "open" })
      yield* Effect.promise(() => closing)
      assert.deepStrictEqual(machines(filename), [{ id: "late", active: 0 }])
    })
  )

  describe("onError", () => {
    /** What routes answer that throw `errors`, one each. */
    const answersOf = (
      errors: ReadonlyArray<unknown>,
      options: Partial<FastifyPresence.PluginOptions>,
      prepare?: (app: FastifyInstance) => void
    ) =>
      Effect.gen(function* () {
        const filename = yield* temporaryDatabase(tables)
        const app = Fastify()
        yield* Effect.addFinalizer(() => Effect.promise(() => app.close()))
        prepare?.(app)
        app.register(FastifyPresence.plugin, { filename, kinds, onLog: () => undefined, ...options })
        for (const [index, error] of errors.entries()) {
          app.get(`/${index}`, async () => {
            throw error
          })
        }
        return yield* Effect.forEach(errors, (_, index) =>
          Effect.map(
            Effect.promise(() => app.inject({ url: `/${index}` })),
            ({ headers, payload, statusCode }) => ({ headers, statusCode, body: JSON.parse(payload), payload })
          )
        )
      })

    it.scopedLive("answers every failure as the table says, also in routes declared before the plugin is ready", () =>
      Effect.gen(function* () {
        const errors = Object.values(writerErrors)
        for (const [index, answer] of (yield* answersOf(errors, {})).entries()) {
          const error = errors[index] ?? assert.fail("more answers than errors")
          const { body, statusCode } = HttpFailure.make(error)
          assert.strictEqual(answer.statusCode, statusCode)
          assert.deepInclude(answer.body, { error: body.error, code: error._tag, written: error.written })
          assert.notInclude(answer.payload, "secret")
          assert.strictEqual(answer.headers["retry-after"] !== undefined, body.retryable)
        }
      })
    )

    it.scopedLive("changes an answer, with the error and the request at hand", () =>
      Effect.gen(function* () {
        const [answer] = yield* answersOf([writerErrors.LaneOverflow], {
          onError: (failure, error, request) => ({
            ...failure,
            statusCode: 529,
            headers: { ...failure.headers, "x-lane": error.lane },
            body: { ...failure.body, error: request.url }
          })
        })
        assert.deepStrictEqual(
          [answer?.statusCode, answer?.headers["x-lane"], answer?.body.error],
          [529, "control", "/0"]
        )
      })
    )

    it.scopedLive("leaves other errors to the handler that the server has, or to Fastify", () =>
      Effect.gen(function* () {
        const own = (app: FastifyInstance) =>
          void app.setErrorHandler((error, _request, reply) => reply.code(418).send({ mine: String(error) }))
        const [other, write] = yield* answersOf([new Error("other"), writerErrors.DatabaseBusy], {}, own)
        assert.deepStrictEqual([other?.statusCode, other?.body], [418, { mine: "Error: other" }])
        assert.strictEqual(write?.statusCode, 503)
        const [plain] = yield* answersOf([Object.assign(new Error("other"), { statusCode: 404 })], {})
        assert.strictEqual(plain?.statusCode, 404)
      })
    )

    it.scopedLive("sets no handler when told so; Fastify then reads the status that the error carries", () =>
      Effect.gen(function* () {
        const [answer] = yield* answersOf([writerErrors.WriteConflict], { onError: false })
        assert.deepInclude(answer?.body, { statusCode: 409, error: "Conflict" })
      })
    )
  })

  it.scopedLive("fails ready() when the file or an option is wrong, naming it", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const missing = yield* house({ filename: path.join(directory, "no", "file.sqlite") })
      const fault = yield* Effect.flip(Effect.tryPromise(async () => missing.app.ready()))
      assert.deepInclude(fault.error, { _tag: "EngineFault" })
      const invalid = yield* house({ presence: { interval: 0 } })
      const error = yield* Effect.flip(Effect.tryPromise(async () => invalid.app.ready()))
      assert.include(String(error.error), "interval must be a finite duration above zero")
    })
  )

  it.scopedLive("leaves nothing open when it is registered twice", () =>
    Effect.gen(function* () {
      const { app, filename } = yield* house()
      app.register(FastifyPresence.plugin, { filename, kinds })
      const error = yield* Effect.flip(Effect.tryPromise(async () => app.ready()))
      assert.include(String(error.error), "presence")
      yield* Effect.promise(() => app.close())
      assert.strictEqual(app.presence.status().writer.state, "closed")
    })
  )

  it.scopedLive("logs through the server, with level and code", () =>
    Effect.gen(function* () {
      const { app, filename, lines } = yield* house({ presence: { drainTimeout: "50 millis" } })
      yield* Effect.promise(async () => app.ready())
      yield* ForeignLock.hold(filename)
      app.presence.beat(machine("a1", "m1"), Date.now())
      yield* Effect.promise(() => app.close())
      const line = lines.map((line) => JSON.parse(line)).find(({ code }) => code === "PresenceUndrained")
      assert.deepInclude(line, { level: 40, msg: "1 presence rows stayed pending at shutdown" })
    })
  )
})
