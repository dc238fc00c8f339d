/**
 * Goal: writes that cannot be done now are refused within the deadline, with an
 * answer that makes clients come back, and requests without a write are served.
 * Method: another process keeps the write lock of the file, or locks all tables of PostgreSQL.
 */
import { assert } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import { randomBytes } from "node:crypto"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as TimeLimit from "../../src/drivers/TimeLimit.ts"
import { contract, Wire } from "../../src/contract/Wire.ts"

const controlDeadlineMillis = 2000

/** What a busy box may add to any time that is measured from outside. */
const marginMillis = 3000

const newKey = () => randomBytes(32).toString("base64")

const scene = Effect.gen(function* () {
  const wire = yield* Wire
  const owner = yield* wire.person()
  const { line: agent, sid } = yield* owner.agent
  const { line: daemon, machineId } = yield* owner.daemon
  const end = Effect.gen(function* () {
    const { line, sid } = yield* owner.agent
    yield* wire.say(line, "session-end", { sid, time: Date.now() })
    yield* line.settled
    return sid
  })
  const endedSid = yield* end
  // Archived, so that a request to unarchive it finds something to do even if its first attempt was not confirmed.
  const archivedSid = yield* end
  yield* owner.call("POST /v2/sessions/:id/archive", 200, { params: { id: archivedSid } })
  const keys = { terminal: newKey(), device: newKey() }
  yield* wire.call("POST /v1/auth/request", 200, { body: { publicKey: keys.terminal } })
  yield* wire.call("POST /v1/auth/account/request", 200, { body: { publicKey: keys.device } })
  const { devices } = yield* owner.call("GET /v1/account/devices", 200)
  return { ...wire, owner, agent, sid, endedSid, archivedSid, daemon, machineId, keys, deviceId: devices[0]?.id ?? "" }
})

type Scene = Effect.Effect.Success<typeof scene>

const newMachine = () => ({ id: crypto.randomUUID(), metadata: "m" })
const newArtifact = () => ({ id: crypto.randomUUID(), header: "", body: "", dataEncryptionKey: "" })
const report = { key: "k", tokens: { total: 1 }, cost: { total: 1 } }

/** Every request that has to write. */
const requests = ({ archivedSid, call, deviceId, endedSid, keys, machineId, owner, sid }: Scene) => {
  const params = { id: sid }
  const answer = (publicKey: string) => ({ body: { publicKey, response: "r" } })
  const metadata = { ciphertext: "m", expectedVersion: 0 }
  return [
    call("POST /v1/auth", 503, { body: Client.make().challenge() }),
    call("POST /v1/auth/request", 503, { body: { publicKey: newKey() } }),
    call("POST /v1/auth/account/request", 503, { body: { publicKey: newKey() } }),
    owner.call("POST /v1/auth/response", 503, answer(keys.terminal)),
    owner.call("POST /v1/auth/account/response", 503, answer(keys.device)),
    owner.call("POST /v1/auth/revoke", 503),
    owner.call("DELETE /v1/account/devices/:id", 503, { params: { id: deviceId } }),
    owner.call("POST /v1/account/settings", 503, { body: { settings: "s", expectedVersion: 0 } }),
    owner.call("POST /v1/sessions", 503, { body: { tag: "new", metadata: "m" } }),
    owner.call("PATCH /v2/sessions/:id", 503, { params, body: { metadata } }),
    owner.call("POST /v2/sessions/:id/archive", 503, { params: { id: endedSid } }),
    owner.call("POST /v2/sessions/:id/unarchive", 503, { params: { id: archivedSid } }),
    owner.call("DELETE /v1/sessions/:id", 503, { params }),
    owner.call("POST /v2/sessions/:id/messages", 503, { params, body: { ciphertext: "c" } }),
    owner.call("POST /v3/sessions/:id/messages", 503, { params, body: { messages: [{ content: "c", localId: "b" }] } }),
    owner.call("POST /v2/usage-reports", 503, { body: report }),
    owner.call("POST /v1/machines/:id/revoke", 503, { params: { id: machineId } }),
    owner.call("DELETE /v1/machines/:id", 503, { params: { id: machineId } }),
    owner.call("POST /v1/push-tokens", 503, { body: { token: "t" } }),
    owner.call("DELETE /v1/push-tokens/:token", 503, { params: { token: "t" } }),
    owner.call("POST /v1/connect/:vendor/register", 503, { params: { vendor: "openai" }, body: { token: "t" } }),
    owner.call("DELETE /v1/connect/:vendor", 503, { params: { vendor: "openai" } }),
    owner.call("POST /v1/artifacts", 503, { body: newArtifact() }),
    owner.call("POST /v1/artifacts/:id", 503, {
      params: { id: crypto.randomUUID() },
      body: { header: "", expectedHeaderVersion: 1 }
    }),
    owner.call("DELETE /v1/artifacts/:id", 503, { params: { id: crypto.randomUUID() } }),
    owner.call("POST /v1/kv", 503, { body: { mutations: [{ key: "k", value: null, version: -1 }] } }),
    owner.call("POST /v1/access-keys/:sessionId/:machineId", 503, {
      params: { sessionId: sid, machineId },
      body: { data: "x" }
    }),
    owner.call("PUT /v1/access-keys/:sessionId/:machineId", 503, {
      params: { sessionId: sid, machineId },
      body: { data: "x", expectedVersion: 1 }
    })
  ]
}

/** Every event that has to. Their clients take a refusal for final, so none is answered before it is stored. */
const events = ({ agent, ask, daemon, machineId, sid }: Scene): ReadonlyArray<Effect.Effect<unknown>> => [
  ask(daemon, "machine-update-metadata", "success", { machineId, metadata: "n", expectedVersion: 1 }),
  ask(daemon, "machine-update-state", "success", { machineId, daemonState: "n", expectedVersion: 0 }),
  ask(agent, "update-metadata", "success", { sid, metadata: "n", expectedVersion: 0 }),
  ask(agent, "update-state", "success", { sid, agentState: "n", expectedVersion: 0 }),
  ask(agent, "message", "ok", { sid, message: "m" }),
  ask(agent, "usage-report", "success", report),
  ask(agent, "artifact-create", "success", newArtifact())
]

contract("Busy", (it) => {
  it.scoped("refuses every write while the lock is kept, and has written none of them", () =>
    Effect.gen(function* () {
      const cast = yield* scene
      const { owner, server } = cast
      const counts = Effect.forEach(
        ["Account", "Machine", "Session", "SessionMessage", "UsageReport", "TerminalAuthRequest"],
        (table) => server.database.query(`SELECT count(*) AS count FROM "${table}"`)
      )
      const before = yield* counts
      const cursor = yield* owner.call("GET /v2/cursor", 200)
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* server.database.lock
          // A registration is tried for as long as daemons wait.
          const registration = yield* Effect.fork(owner.call("POST /v1/machines", 503, { body: newMachine() }))
          const timed = requests(cast).map((one) => Effect.timed<unknown, never, never>(one))
          const answers = yield* Effect.all(timed, { concurrency: "unbounded" })
          const worst = Math.max(...answers.map(([duration]) => Duration.toMillis(duration)))
          TimeLimit.holds("the slowest control write, in ms", worst, controlDeadlineMillis + marginMillis)
          const [duration] = yield* Effect.timed(Fiber.join(registration))
          TimeLimit.holds("a registration, in ms", Duration.toMillis(duration), 10_000)
        })
      )
      assert.deepStrictEqual(yield* counts, before)
      assert.deepStrictEqual(yield* owner.call("GET /v2/cursor", 200), cursor)
      yield* owner.call("POST /v1/machines", 200, { body: newMachine() })
    })
  )

  it.scoped("answers no event while the lock is kept, and each once it is stored", () =>
    Effect.gen(function* () {
      const cast = yield* scene
      const asked = yield* Effect.scoped(
        Effect.gen(function* () {
          yield* cast.server.database.lock
          const asked = yield* Effect.forEach(events(cast), Effect.forkDaemon)
          yield* Effect.sleep("3 seconds")
          for (const fiber of asked) assert.isNull(fiber.unsafePoll())
          return asked
        })
      )
      yield* Fiber.joinAll(asked)
    })
  )

  it.scoped("serves known machines and sessions, and every read, while the lock is kept", () =>
    Effect.gen(function* () {
      const { agent, ask, machineId, owner, person, server, sid } = yield* scene
      const params = { id: sid }
      yield* server.database.lock
      const again = yield* person(owner.keys)
      assert.strictEqual(again.id, owner.id)
      const { machine } = yield* owner.call("POST /v1/machines", 200, { body: { id: machineId, metadata: "m" } })
      assert.strictEqual(machine.id, machineId)
      yield* owner.call("GET /v1/machines", 200)
      yield* owner.call("GET /v1/sessions", 200)
      yield* owner.call("GET /v2/sessions/:id", 200, { params })
      yield* owner.call("GET /v1/sessions/:id/messages", 200, { params })
      yield* owner.call("GET /v3/sessions/:id/messages", 200, { params })
      yield* owner.call("GET /v2/changes", 200)
      const line = yield* owner.connect({ clientType: "machine-scoped", machineId })
      assert.deepStrictEqual(yield* ask(line, "ping", "pong"), {})
      assert.deepStrictEqual(yield* ask(agent, "ping", "pong"), {})
    })
  )
})
