/**
 * Goal: an acknowledged message survives kill -9 under its number, and one that
 * is sent again afterwards is stored once. Method: kill the built server at
 * random moments under the messages of several agents, start it again in the
 * same directory, compare the file with the answers that the agents received.
 * `CRASH_SEED` repeats the moments of a run.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as Eventually from "../../src/drivers/Eventually.ts"

const rounds = 3
const agents = 4

const seed = Number(process.env["CRASH_SEED"] ?? Math.floor(Math.random() * 1_000_000))

interface Log {
  readonly sent: Set<string>
  /** Number by local id. */
  readonly acknowledged: Map<string, number>
}

const send = (line: Device.Line, sid: string, localId: string, log: Log) =>
  Effect.gen(function* () {
    log.sent.add(localId)
    const ack = yield* line.ask("message", { sid, message: `text of ${localId}`, localId })
    assert.strictEqual(ack.ok, true, JSON.stringify(ack))
    const before = log.acknowledged.get(localId)
    assert.include([undefined, ack.seq], before, "a second number for one message")
    log.acknowledged.set(localId, ack.seq)
  })

/** Messages until the server is killed. */
const round = (server: BuiltServer.Server, device: Device.Device, sid: string, name: string, log: Log) =>
  Effect.gen(function* () {
    const before = log.acknowledged.size
    for (let agent = 0; agent < agents; agent++) {
      const line = yield* device.connect({ clientType: "session-scoped", sessionId: sid })
      let count = 0
      const next = Effect.suspend(() => send(line, sid, `${name} ${agent} ${(count += 1)}`, log))
      yield* Effect.forkScoped(Effect.forever(next))
    }
    yield* Eventually.until(
      Effect.sync(() => log.acknowledged.size),
      (size) => size > before + agents
    )
    yield* Effect.sleep(yield* Random.nextIntBetween(0, 400))
    yield* server.signal("SIGKILL")
    yield* server.ended
  }).pipe(Effect.scoped)

const check = (server: BuiltServer.Server, log: Log) => {
  const rows = server.rows("SELECT seq, localId, content ->> 'c' AS c FROM SessionMessage ORDER BY seq")
  assert.deepStrictEqual(
    rows.map(({ seq }) => seq),
    rows.map((_, index) => index + 1),
    "numbers without a gap"
  )
  const stored = new Map(rows.map(({ localId, seq }) => [localId, seq]))
  for (const [localId, seq] of log.acknowledged) assert.strictEqual(stored.get(localId), seq, localId)
  for (const { localId, c } of rows) assert.strictEqual(c, `text of ${String(localId)}`)
  const [session] = server.rows("SELECT seq FROM Session")
  assert.strictEqual(session?.["seq"], rows.length)
  const [line] = server.rows(
    "SELECT cursor, hint ->> 'lastMessageSeq' AS last FROM AccountChange WHERE kind = 'session'"
  )
  const [account] = server.rows("SELECT seq FROM Account")
  assert.deepStrictEqual(line, { cursor: account?.["seq"], last: rows.length })
}

describe("a crash under messages", () => {
  it.scopedLive(
    `loses no acknowledged message, leaves no gap, and stores none twice (seed ${seed})`,
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start()
        const keys = Client.make()
        const log: Log = { sent: new Set(), acknowledged: new Map() }
        const sid = yield* Device.openSession(yield* Device.login(server.url, keys), "t")
        for (let count = 1; count <= rounds; count++) {
          const device = yield* Device.login(server.url, keys)
          yield* round(server, device, sid, `round ${count}`, log)
          check(server, log)
          yield* server.start
          // Unanswered messages are sent again.
          const line = yield* device.connect({ clientType: "session-scoped", sessionId: sid })
          const unanswered = [...log.sent].filter((localId) => !log.acknowledged.has(localId))
          yield* Effect.forEach(unanswered, (localId) => send(line, sid, localId, log))
          check(server, log)
          assert.strictEqual(log.acknowledged.size, log.sent.size)
          line.socket.disconnect()
        }
        assert.deepStrictEqual(server.rows("PRAGMA integrity_check"), [{ integrity_check: "ok" }])
      }).pipe(Effect.withRandom(Random.make(seed))),
    60_000
  )
})
