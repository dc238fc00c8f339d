/**
 * Goal: secrets appear only where they belong. Method: canaries in every place
 * that holds a secret or the content of a client, through requests and events
 * that succeed and that fail, at every level of the log; then everything that
 * the server printed, measured and answered is searched for them.
 */
import { assert, describe, it } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import { Effect, Fiber } from "effect"
import { execFile } from "node:child_process"
import { randomBytes, randomUUID } from "node:crypto"
import { fileURLToPath } from "node:url"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as TemporaryDirectory from "../../src/drivers/TemporaryDirectory.ts"

const main = fileURLToPath(new URL("../../../light-server/dist/bundle/main.js", import.meta.url))

/** All there is to say; what operators read; and what is left where each line counts. */
const levels = ["trace", "info", "error"]

const masterSecret = `canary-of-the-secret-${randomUUID()}`

/** Found whole, and in the forms in which it could be printed. */
const formsOf = (canary: string): ReadonlyArray<string> => {
  const bytes = Buffer.from(canary)
  return [canary, bytes.toString("hex"), bytes.toString("base64url"), encodeURIComponent(canary)]
}

const assertFree = (where: string, text: string, canaries: Readonly<Record<string, string>>) => {
  for (const [name, canary] of Object.entries(canaries)) {
    for (const form of formsOf(canary)) {
      const at = text.indexOf(form)
      assert.strictEqual(at, -1, `${name} in ${where}: ${text.slice(Math.max(0, at - 200), at + 200)}`)
    }
  }
}

const makeCanaries = () => {
  const named = (name: string) => `canary-${name}-${randomUUID()}`
  return {
    "a message": named("content"),
    "a text that does not fit": named("misfit"),
    "a bad token": named("token"),
    "a part of a path": named("path"),
    "a part of a query": named("query"),
    "a header": named("header"),
    "the parameters of a call": named("call"),
    "the name of an event": named("event"),
    "a data key": randomBytes(32).toString("base64")
  }
}

type Canaries = ReturnType<typeof makeCanaries>

/** An answer to an unknown route repeats its own path. */
const echoed: ReadonlySet<string> = new Set<keyof Canaries>(["a part of a path", "a part of a query"])

const failing = (device: Device.Device, canaries: Canaries) => {
  const misfit = canaries["a text that does not fit"]
  const headers = { authorization: `Bearer ${device.token}`, "content-type": "application/json" }
  const bad = { authorization: `Bearer ${canaries["a bad token"]}`, "x-secret": canaries["a header"] }
  const send = (path: string, init: RequestInit) => Effect.orDie(Device.request(device.url + path, init))
  const post = (path: string, body: string) => send(path, { method: "POST", headers, body })
  return [
    post("/v1/machines", `{"id":"${misfit}`),
    post("/v1/machines", JSON.stringify({ id: { [misfit]: misfit }, metadata: [misfit] })),
    post("/v1/auth", JSON.stringify({ publicKey: misfit, challenge: misfit, signature: misfit })),
    post("/v1/auth/response", JSON.stringify({ publicKey: misfit, response: misfit })),
    post("/v2/usage-reports", JSON.stringify({ key: misfit, tokens: { [misfit]: misfit } })),
    send(`/v1/${canaries["a part of a path"]}?q=${canaries["a part of a query"]}`, { headers }),
    send(`/v1/machines/${canaries["a part of a path"]}`, { headers }),
    send(`/v2/sessions?cursor=${canaries["a part of a query"]}`, { headers }),
    send("/v1/machines", { headers: bad }),
    send("/v1/machines", { headers: { authorization: `Basic ${canaries["a bad token"]}` } }),
    send("/v1/machines/%zz", { headers: bad }),
    send("/v1/machines", {
      method: "POST",
      headers: { ...bad, "content-type": `text/${canaries["a header"]}` },
      body: misfit
    })
  ]
}

/** What goes well, over HTTP and over a socket. Answers with the line, to be listened to further. */
const succeed = (device: Device.Device, canaries: Canaries) =>
  Effect.gen(function* () {
    const content = canaries["a message"]
    const dataEncryptionKey = canaries["a data key"]
    const machine = { id: randomUUID(), metadata: content, daemonState: content, dataEncryptionKey }
    yield* Effect.orDie(device.post("/v1/machines", machine))
    const session = { tag: content, metadata: content, agentState: content, dataEncryptionKey }
    const opened = yield* Effect.orDie(device.post("/v1/sessions", session))
    const sid = String(opened.body["session"].id)
    yield* Effect.orDie(device.post("/v1/account/settings", { settings: content, expectedVersion: 0 }))
    const line = yield* device.connect({ clientType: "session-scoped", sessionId: sid })
    const app = yield* device.connect({ clientType: "user-scoped" })
    yield* line.ask("message", { sid, message: content })
    yield* line.ask("update-metadata", { sid, metadata: content, expectedVersion: 0 })
    line.socket.emit("rpc-register", { method: `${sid}:${content}` })
    line.socket.on("rpc-request", (_: unknown, answer: (result: string) => void) => answer(content))
    yield* line.settled
    yield* app.ask("rpc-call", { method: `${sid}:${content}`, params: canaries["the parameters of a call"] })
    return { line, sid }
  })

const misbehave = (device: Device.Device, line: Device.Line, canaries: Canaries) =>
  Effect.gen(function* () {
    const misfit = canaries["a text that does not fit"]
    for (const event of ["message", "session-alive", "session-end", "usage-report", "update-state", "rpc-register"]) {
      line.socket.emit(event, { sid: misfit, method: misfit, time: misfit, key: misfit, tokens: misfit })
    }
    line.socket.emit(canaries["the name of an event"], misfit)
    yield* line.settled
    for (const auth of [
      { token: canaries["a bad token"] },
      { token: device.token, clientType: "session-scoped", sessionId: misfit }
    ]) {
      const refused = yield* Device.dial(device.url, auth)
      yield* refused.until(({ event }) => event === "disconnect")
    }
    const cut = yield* device.connect({ clientType: "user-scoped" })
    cut.socket.io.engine.write(`2["${misfit}`)
    yield* cut.until(({ event }) => event === "disconnect")
  })

/** Nothing can be written while this runs: failures of the storage are logged with what there is to say. */
const whileLocked = <A, E, R>(server: BuiltServer.Server, effect: Effect.Effect<A, E, R>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const other = new Sqlite(server.databaseFile)
      other.exec("BEGIN IMMEDIATE")
      return other
    }),
    () => effect,
    (other) => Effect.sync(() => other.close())
  )

/** A command of the program, to its end. */
const command = (args: ReadonlyArray<string>, environment: Readonly<Record<string, string>>) =>
  Effect.async<{ readonly code: number; readonly text: string }>((resume) => {
    const env = { PATH: process.env["PATH"], ...environment }
    execFile(process.execPath, [main, ...args], { env, timeout: 20_000 }, (error, stdout, stderr) =>
      resume(Effect.succeed({ code: Number(error?.code ?? 0), text: stdout + stderr }))
    )
  })

describe("secrets", () => {
  for (const level of levels) {
    it.scopedLive(
      `are in nothing that the server prints, measures or answers, at the level ${level}`,
      () =>
        Effect.gen(function* () {
          const canaries = makeCanaries()
          const server = yield* BuiltServer.start({ HAPPIER_LOG_LEVEL: level, HANDY_MASTER_SECRET: masterSecret })
          const keys = Client.make()
          const device = yield* Device.login(server.url, keys)
          const { line, sid } = yield* succeed(device, canaries)
          yield* misbehave(device, line, canaries)
          const answers = yield* Effect.all(failing(device, canaries))
          const content = canaries["a message"]
          // What a socket brings is kept until it can be written; a registration is refused in the end.
          const kept = yield* Effect.forkScoped(
            Effect.all(
              [
                line.ask("message", { sid, message: content }),
                line.ask("update-metadata", { sid, metadata: content, expectedVersion: 1 })
              ],
              { concurrency: "unbounded" }
            ).pipe(Effect.delay("100 millis"))
          )
          const register = Effect.orDie(device.post("/v1/machines", { id: randomUUID(), metadata: content }))
          const late = yield* whileLocked(server, register)
          assert.strictEqual(late.status, 503)
          const [stored, updated] = yield* Fiber.join(kept)
          assert.isTrue(stored.ok)
          assert.strictEqual(updated.result, "success")
          const { text: metrics } = yield* Effect.orDie(Device.request(`${server.url}/metrics`))
          const { code } = yield* server.end("SIGTERM")
          assert.strictEqual(code, 0)

          const secrets = {
            ...canaries,
            "the master secret": masterSecret,
            "a token": device.token,
            "the signature of a token": device.token.split(".")[2] ?? "",
            "the key of an account": keys.publicKeyHex,
            "the key of an account in base64": Buffer.from(keys.publicKeyHex, "hex").toString("base64")
          }
          assertFree("the output", server.output(), secrets)
          assertFree("the metrics", metrics, secrets)
          const hidden = Object.entries(secrets).filter(([name]) => !echoed.has(name))
          for (const { status, text } of [...answers, late]) {
            assert.isAtLeast(status, 400)
            assertFree("an answer", text, Object.fromEntries(hidden))
          }
          // The search finds something where there is something.
          assert.throws(() => assertFree("itself", `… ${masterSecret} …`, secrets))
        }),
      60_000
    )
  }

  it.scopedLive("are not in the output of config print, or in the error when the server does not start", () =>
    Effect.gen(function* () {
      const directory = yield* TemporaryDirectory.make
      const good = {
        HOME: directory,
        HAPPIER_SERVER_LIGHT_DATA_DIR: `${directory}/data`,
        HANDY_MASTER_SECRET: masterSecret,
        DATABASE_URL: "file:db.sqlite?password=canary-in-a-url"
      }
      const canaries = {
        "the master secret": masterSecret,
        "a password": "canary-in-a-url",
        "a short one": "canary-short"
      }
      const printed = yield* command(["config", "print"], good)
      assert.strictEqual(printed.code, 0)
      assertFree("config print", printed.text, canaries)
      assert.include(printed.text, "<redacted>")
      for (const wrong of [
        { HANDY_MASTER_SECRET: "canary-short" },
        { DATABASE_URL: "postgres://canary-short:canary-in-a-url@host/db" },
        { PORT: "nonsense" },
        { HAPPIER_SERVER_LIGHT_DATA_DIR: "/dev/null/none" }
      ]) {
        const refused = yield* command(["serve"], { ...good, ...wrong })
        assert.notStrictEqual(refused.code, 0, JSON.stringify(wrong))
        assert.isAbove(refused.text.length, 0)
        assertFree(`the refusal of ${Object.keys(wrong).join()}`, refused.text, canaries)
      }
    })
  )
})
