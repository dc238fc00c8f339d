/**
 * Goal: what clients have sent is stored in the end, each message once and in the order of its sender, whatever
 * happened meanwhile.
 * Method: an agent of today, one of earlier days, an app over a socket and an app over HTTP send all the time, as
 * published ones do, while another process takes the write lock, connections break, and the server is killed and
 * started again. What counts is what was sent, not what was acknowledged. `SENT_SEED` repeats what happens, and when.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Random } from "effect"
import * as ForeignLock from "presence-effect/testing/ForeignLock"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as Eventually from "../../src/drivers/Eventually.ts"
import * as Outbox from "../../src/drivers/Outbox.ts"
import * as TimeLimit from "../../src/drivers/TimeLimit.ts"

const seed = Number(process.env["SENT_SEED"] ?? Math.floor(Math.random() * 1_000_000))

/** What happens, in an order that the seed decides. */
const events = [
  "lock",
  "lock",
  "break",
  "break",
  "break",
  "break under lock",
  "break under lock",
  "kill",
  "kill under lock"
] as const

type Event = (typeof events)[number]

/** Patience of real clients with a server that is being started: a busy box takes long for that. */
const doneWithin = "90 seconds"

const storedIn = (server: BuiltServer.Server) =>
  server.rows(
    `SELECT "seq", "content" ->> 'c' AS "text" FROM "SessionMessage" ORDER BY "seq"`
  ) as unknown as ReadonlyArray<Outbox.Stored>

/** All messages of a session as an app reads them. */
const pagesOf = (device: Device.Device, sid: string) =>
  Effect.gen(function* () {
    const read: Array<Outbox.Stored> = []
    for (let after = 0; ;) {
      const path = `/v1/sessions/${sid}/messages?afterSeq=${after}&limit=500`
      const { body, status, text } = yield* Effect.orDie(device.get(path))
      assert.strictEqual(status, 200, text)
      for (const { content, seq } of body["messages"]) read.push({ seq, text: content.c })
      if (body["hasMore"] !== true) return read
      after = body["nextAfterSeq"]
    }
  })

/** Sends repeatedly, at pauses that the seed decides, until `isOver`; ends when the client is done with all. */
const talk = (outbox: Outbox.Outbox, gate: Effect.Latch, mode: "waits" | "goes on", isOver: () => boolean) =>
  Effect.gen(function* () {
    const open: Array<Fiber.Fiber<void>> = []
    while (!isOver()) {
      yield* gate.await
      if (mode === "waits") yield* outbox.send
      else {
        // Now and then many at once, as a tool prints them.
        const burst = (yield* Random.nextIntBetween(0, 30)) === 0 ? 20 : 1
        for (let count = 0; count < burst; count++) open.push(yield* Effect.fork(outbox.send))
      }
      yield* Effect.sleep(yield* Random.nextIntBetween(20, 150))
    }
    yield* Fiber.joinAll(open)
  })

/** A server that starts for longer than clients are patient proves nothing where others have the processors. */
const isBoxToBlame = (problem: string): boolean => {
  const doubt = problem.endsWith("is missing (given up)") ? TimeLimit.doubt() : undefined
  if (doubt !== undefined) console.warn(`${doubt}: ${problem}`)
  return doubt !== undefined
}

interface Scene {
  readonly server: BuiltServer.Server
  readonly lines: ReadonlyArray<Device.Line>
  /** The outcome of a message that a killed server was handling is unknown, unless its sender asks. */
  readonly hush: Effect.Effect<void>
  readonly speak: Effect.Effect<void>
}

const restart = ({ server }: Scene) =>
  Effect.gen(function* () {
    yield* server.end("SIGKILL")
    yield* Effect.sleep(yield* Random.nextIntBetween(0, 500))
    yield* server.start
  })

const breakSome = ({ lines }: Scene) =>
  Effect.gen(function* () {
    for (const { socket } of lines) if (yield* Random.nextBoolean) socket.io.engine.close()
  })

/** Another process has the write lock before, during and after `meanwhile`. */
const underLock = (
  { server }: Scene,
  afterMillis: number,
  meanwhile: Effect.Effect<unknown>
): Effect.Effect<void, ForeignLock.ForeignLockFailed> =>
  Effect.scoped(
    Effect.gen(function* () {
      yield* ForeignLock.hold(server.databaseFile)
      yield* Effect.sleep(yield* Random.nextIntBetween(100, 1500))
      yield* meanwhile
      yield* Effect.sleep(yield* Random.nextIntBetween(0, afterMillis))
    })
  )

const perform: Record<Event, (scene: Scene) => Effect.Effect<void, ForeignLock.ForeignLockFailed>> = {
  lock: (scene) => underLock(scene, 1500, Effect.void),
  break: breakSome,
  "break under lock": (scene) => underLock(scene, 1500, breakSome(scene)),
  kill: (scene) => scene.hush.pipe(Effect.zipRight(restart(scene)), Effect.zipRight(scene.speak)),
  "kill under lock": (scene) =>
    scene.hush.pipe(
      Effect.zipRight(underLock(scene, 1, scene.server.end("SIGKILL"))),
      Effect.zipRight(scene.server.start),
      Effect.zipRight(scene.speak)
    )
}

describe("what was sent", () => {
  it.scopedLive(
    `is stored in the end, once and in order (seed ${seed})`,
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start()
        const keys = Client.make()
        const device = yield* Device.login(server.url, keys)
        const tablet = yield* Device.login(server.url, keys)
        const sid = yield* Device.openSession(device, "t")
        const asAgent = { clientType: "session-scoped", sessionId: sid }
        const agentLine = yield* device.connect(asAgent)
        const earlierLine = yield* device.connect(asAgent)
        const phoneLine = yield* device.connect({ clientType: "user-scoped" })
        const agent = Outbox.acknowledged("agent", agentLine, sid)
        const earlier = Outbox.unacknowledged("earlier agent", earlierLine, sid)
        const phone = Outbox.acknowledged("phone", phoneLine, sid)
        const http = Outbox.overHttp("tablet", tablet, sid)
        const outboxes = [agent, earlier, phone, http]

        let isOver = false
        const open = yield* Effect.makeLatch(true)
        const gate = yield* Effect.makeLatch(true)
        const talks = yield* Effect.forEach(
          [
            talk(agent, open, "goes on", () => isOver),
            talk(earlier, gate, "goes on", () => isOver),
            talk(phone, open, "goes on", () => isOver),
            talk(http, open, "waits", () => isOver)
          ],
          // Each has its own random numbers, so that their pauses do not depend on which runs first.
          (talk, index) => Effect.forkScoped(Effect.withRandom(talk, Random.make(`${seed} ${index}`)))
        )
        const arrived = Eventually.until(
          Effect.sync(() => {
            const stored = new Set(storedIn(server).map(({ text }) => text))
            return earlier.sent.filter(({ text }) => !stored.has(text)).map(({ text }) => text)
          }),
          (missing) => missing.length === 0,
          "30 seconds"
        )
        const scene: Scene = {
          server,
          lines: [agentLine, earlierLine, phoneLine],
          hush: gate.close.pipe(Effect.zipRight(arrived), Effect.asVoid),
          speak: Effect.asVoid(gate.open)
        }
        for (const event of yield* Random.shuffle(events)) {
          yield* Effect.sleep(yield* Random.nextIntBetween(200, 800))
          yield* perform[event](scene)
        }
        isOver = true
        yield* Effect.timeoutFail(Fiber.joinAll(talks), {
          duration: doneWithin,
          onTimeout: () => new Error(`a client waits for ever (seed ${seed})`)
        })
        yield* Effect.ignore(arrived)

        const stored = storedIn(server)
        const problems = Outbox.problemsOf(outboxes, stored).filter((problem) => !isBoxToBlame(problem))
        assert.deepStrictEqual(problems, [], `seed ${seed}`)
        assert.deepStrictEqual(yield* pagesOf(device, sid), stored, `seed ${seed}`)
        assert.deepStrictEqual(server.rows("PRAGMA integrity_check"), [{ integrity_check: "ok" }])
        for (const { counts, name, sent } of outboxes) {
          yield* Effect.log(
            `${name}: ${sent.length} sent, ${counts.resent} times again, all stored once (seed ${seed})`
          )
        }
      }).pipe(Effect.withRandom(Random.make(seed))),
    240_000
  )
})
