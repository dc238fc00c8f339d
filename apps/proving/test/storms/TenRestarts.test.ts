/**
 * Goal: a running daemon stays registered for its machine through ten restarts of the server: online again and again,
 * and nothing that the server acknowledged is lost. Method: the unmodified example in a process of its own, and a
 * client that does what daemons do: axios with a time-out of 10 s, socket.io-client with its defaults, a registration
 * that is repeated until it is answered, a state that follows on the known version. The server ends by SIGTERM and by
 * SIGKILL in turn, at any moment. `RESTARTS_SEED` repeats the moments.
 */
import { assert, describe, it } from "@effect/vitest"
import axios from "axios"
import { Effect, Random, Schedule } from "effect"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as Eventually from "../../src/drivers/Eventually.ts"

const seed = Number(process.env["RESTARTS_SEED"] ?? Math.floor(Math.random() * 1_000_000))

const restartCount = 10

/** Heartbeats add nothing here to the connection, and offline rows are seen soon. */
const environment = { HAPPIER_PRESENCE_FLUSH_INTERVAL_MS: "500", HAPPIER_PRESENCE_PERSIST_THRESHOLD_MS: "500" }

/** The defaults of socket.io-client. */
const asItComes: Device.Patience = { firstMillis: 1000, lastMillis: 5000 }

/** A daemon that was away longest tries again after 5 s; the jitter of the client and a busy box add to that. */
const backWithin = "20 seconds"

const count = (text: string, line: string) => text.split("\n").filter((one) => one.startsWith(line)).length

const example = (url: string) =>
  Effect.gen(function* () {
    const script = fileURLToPath(new URL("../../../light-server/examples/daemon.mjs", import.meta.url))
    let said = ""
    let isOver = false
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => spawn(process.execPath, [script, url], { stdio: ["ignore", "pipe", "pipe"] })),
      (child) => Effect.sync(() => void child.kill("SIGKILL"))
    )
    child.stdout.on("data", (data) => (said += String(data)))
    child.stderr.on("data", (data) => (said += String(data)))
    child.once("exit", () => (isOver = true))
    return {
      said: () => said,
      isOver: () => isOver,
      onlineCount: () => count(said, "online"),
      untilOnline: (times: number) =>
        Eventually.until(
          Effect.sync(() => said),
          (said) => isOver || count(said, "online") >= times,
          backWithin
        )
    }
  })

/** The requests of daemons, and the answers they received. */
const daemon = (url: string) =>
  Effect.gen(function* () {
    const { token } = yield* Device.login(url, Client.make())
    const id = crypto.randomUUID()
    let registrations = 0
    let promised = { version: 0, daemonState: "" }
    let known = 0
    const register = Effect.tryPromise((signal) =>
      axios.post(
        `${url}/v1/machines`,
        { id, metadata: "m" },
        { headers: { authorization: `Bearer ${token}` }, timeout: 10_000, signal }
      )
    ).pipe(
      // A refusal and a server that is down are the same to a daemon: it tries again.
      Effect.retry(Schedule.spaced("500 millis")),
      Effect.tap(({ data }) =>
        Effect.sync(() => {
          assert.strictEqual(data.machine.id, id)
          registrations += 1
        })
      )
    )
    yield* register
    const line = yield* Device.connect(url, { token, clientType: "machine-scoped", machineId: id }, asItComes)
    let tellings = 0
    const tell = Effect.suspend(() => {
      const daemonState = `state ${(tellings += 1)}`
      return line.ask("machine-update-state", { machineId: id, daemonState, expectedVersion: known })
    }).pipe(
      // Without an answer it is unknown whether it was written; the next one finds out by its version.
      Effect.timeoutOption("2 seconds"),
      Effect.map((ack) => {
        if (ack._tag === "None" || ack.value.result === "error") return
        known = ack.value.version
        if (ack.value.result === "success") promised = ack.value
      })
    )
    yield* Effect.forkScoped(Effect.forever(Effect.zipRight(tell, Effect.sleep("50 millis"))))
    yield* Effect.forkScoped(Effect.forever(Effect.zipRight(register, Effect.sleep("300 millis"))))
    return { id, line, promised: () => promised, registrations: () => registrations }
  })

describe("an unmodified daemon", () => {
  it.scopedLive(
    `stays registered and comes online again through ten restarts of the server (seed ${seed})`,
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start(environment)
        const stranger = yield* example(server.url)
        const own = yield* daemon(server.url)
        yield* stranger.untilOnline(1)
        const strangerId = /registered machine (\S+),/.exec(stranger.said())?.[1] ?? ""
        const rowOf = (id: string) =>
          server.rows("SELECT active, lastActiveAt, daemonState, daemonStateVersion FROM Machine WHERE id = ?", id)[0]

        for (let restart = 1; restart <= restartCount; restart++) {
          const from = own.line.heard.length
          const registrations = own.registrations()
          yield* Effect.sleep(yield* Random.nextIntBetween(0, 400))
          const signal = restart % 2 === 0 ? "SIGKILL" : "SIGTERM"
          const onlineCount = stranger.onlineCount()
          const { code } = yield* server.end(signal)
          const what = `restart ${restart}, ${signal}`
          assert.strictEqual(code, signal === "SIGTERM" ? 0 : null, `${what}: ${server.output()}`)

          // Acknowledged writes are in the file, whatever came after them.
          const row = rowOf(own.id)
          const { daemonState, version } = own.promised()
          assert.isAtLeast(Number(row?.["daemonStateVersion"]), version, what)
          if (row?.["daemonStateVersion"] === version && version > 0) {
            assert.strictEqual(row["daemonState"], daemonState, what)
          }
          assert.isDefined(rowOf(strangerId), what)

          const startedAt = Date.now()
          yield* server.start
          yield* Effect.all(
            [
              stranger.untilOnline(onlineCount + 1),
              own.line.until(({ event }) => event === "connect", from),
              Eventually.until(Effect.sync(own.registrations), (now) => now > registrations, backWithin)
            ],
            { concurrency: "unbounded", discard: true }
          )
          assert.isFalse(stranger.isOver(), `${what}: ${stranger.said()}`)
          // The row was active before, too; what counts is that it was seen since.
          for (const id of [own.id, strangerId]) {
            yield* Eventually.until(
              Effect.sync(() => rowOf(id)),
              (row) => row?.["active"] === 1 && Number(row["lastActiveAt"]) >= startedAt
            )
          }
        }

        assert.isFalse(stranger.said().includes("refused"), stranger.said())
        assert.isFalse(own.line.heard.some(({ event }) => event === "error"))
        assert.isAbove(own.promised().version, restartCount)
        assert.lengthOf(server.rows("SELECT id FROM Machine"), 2)
        assert.deepStrictEqual(server.rows("PRAGMA integrity_check"), [{ integrity_check: "ok" }])
      }).pipe(Effect.withRandom(Random.make(seed))),
    180_000
  )
})
