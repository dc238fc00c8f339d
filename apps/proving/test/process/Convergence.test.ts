/**
 * Goal: what clients send is stored, once and in the order of its sender,
 * whatever happens meanwhile. Messages are counted that were sent, not those
 * that were acknowledged.
 * Method: an agent with acks, one that asks for none, an app on a second device
 * and a phone that uses HTTP send to one session of the built server, as
 * published clients do: what has no answer is sent again under its local id, a
 * refusal ends a message for good. Another process locks the file, connections
 * break, and the server is restarted.
 */
import Database from "better-sqlite3"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as Eventually from "../../src/drivers/Eventually.ts"

const environment = { HAPPIER_RATE_LIMIT_CONTROL: "0", HAPPIER_RATE_LIMIT_AUTH: "0", HAPPIER_RATE_LIMIT_READS: "0" }

const pauseMillis = 40

/** What a client of the later kind makes of an ack: none in 7.5 s means again, a refusal means never. */
const sendAcked = (line: Device.Line, sid: string, localId: string, refused: Array<unknown>) =>
  Effect.gen(function* () {
    for (;;) {
      const ack = yield* Effect.tryPromise(() =>
        line.socket.timeout(7500).emitWithAck("message", { sid, message: localId, localId })
      ).pipe(Effect.orElseSucceed(() => undefined))
      if (ack?.ok === true) return
      if (ack !== undefined) return void refused.push(ack)
      yield* Effect.sleep("200 millis")
    }
  })

const sendPosted = (device: Device.Device, sid: string, localId: string) =>
  Effect.gen(function* () {
    for (;;) {
      const answer = yield* Effect.option(device.post(`/v2/sessions/${sid}/messages`, { ciphertext: localId, localId }))
      if (answer._tag === "Some" && answer.value.status === 200) return
      yield* Effect.sleep("200 millis")
    }
  })

/** Another process on the file that holds the write lock. */
const lock = (file: string, millis: number) =>
  Effect.acquireUseRelease(
    Effect.sync(() => new Database(file)),
    (database) =>
      Effect.sync(() => database.exec("BEGIN IMMEDIATE")).pipe(
        Effect.zipRight(Effect.sleep(millis)),
        Effect.zipRight(Effect.sync(() => database.exec("COMMIT")))
      ),
    (database) => Effect.sync(() => database.close())
  )

/** Sends one message after the other until it is interrupted. The last one is sent to its end. */
const sender = (names: Array<string>, prefix: string, send: (name: string) => Effect.Effect<void>) =>
  Effect.suspend(() => {
    const name = `${prefix} ${names.length}`
    names.push(name)
    return Effect.uninterruptible(send(name))
  }).pipe(Effect.zipRight(Effect.sleep(pauseMillis)), Effect.forever)

it.scopedLive(
  "what was sent under locks, broken connections and restarts is stored once and in order",
  () =>
    Effect.gen(function* () {
      const server = yield* BuiltServer.start(environment)
      const account = Client.make()
      const [first, second] = [yield* Device.login(server.url, account), yield* Device.login(server.url, account)]
      const sid = yield* Device.openSession(first, "convergence")
      const auth = { clientType: "session-scoped", sessionId: sid } as const
      const agent = yield* first.connect(auth)
      const silent = yield* first.connect(auth)
      const app = yield* second.connect({ clientType: "user-scoped" })
      const refused: Array<unknown> = []
      const sent = { agent: [], silent: [], app: [], phone: [] } as Record<string, Array<string>>
      const names = (who: string) => sent[who] ?? []

      const lasting = yield* Effect.forkAll([
        sender(names("agent"), "agent", (name) => sendAcked(agent, sid, name, refused)),
        sender(names("app"), "app", (name) => sendAcked(app, sid, name, refused)),
        sender(names("phone"), "phone", (name) => sendPosted(second, sid, name))
      ])
      const emitting = yield* Effect.fork(
        sender(names("silent"), "silent", (message) =>
          Effect.sync(() => void silent.socket.emit("message", { sid, message }))
        )
      )

      yield* Effect.sleep("500 millis")
      for (const [millis, broken] of [
        [1500, silent],
        [3000, agent],
        [2500, silent]
      ] as const) {
        const locking = yield* Effect.fork(lock(server.databaseFile, millis))
        yield* Effect.sleep("300 millis")
        // The engine hands on what was written, and the client keeps what it sends from now on.
        yield* Effect.sync(() => broken.socket.io.engine.close())
        yield* Fiber.join(locking)
        yield* Effect.sleep("300 millis")
      }
      // Without acks nobody can tell what a process that ends has stored: this one pauses meanwhile.
      yield* Fiber.interrupt(emitting)
      yield* Eventually.until(
        Effect.sync(() => server.rows(`SELECT "id" FROM "SessionMessage" WHERE "localId" IS NULL`).length),
        (count) => count >= names("silent").length,
        "60 seconds"
      )
      for (const signal of ["SIGTERM", "SIGKILL"] as const) {
        yield* server.end(signal)
        yield* server.start
        yield* Effect.sleep("500 millis")
      }
      yield* Fiber.interrupt(lasting)

      const texts = server.rows(`SELECT "content" ->> 'c' AS "text" FROM "SessionMessage" ORDER BY "seq"`)
      const stored = texts.map(({ text }) => String(text))
      assert.deepStrictEqual(refused, [], "no client was told to give up")
      for (const who of Object.keys(sent)) {
        assert.isAbove(names(who).length, 10, who)
        assert.deepStrictEqual(
          stored.filter((text) => text.startsWith(`${who} `)),
          names(who),
          `${who}: 0 missing, 0 twice, in order`
        )
      }
    }),
  { timeout: 180_000 }
)
