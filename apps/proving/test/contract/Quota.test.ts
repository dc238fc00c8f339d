/**
 * Goal: an account at its quota stores nothing new over any route or event, loses nothing that its clients sent, keeps
 * control of what it has, and has room again as soon as it deletes something; another account does not notice.
 * Method: a server with the smallest quota, and an account that fills it up to a hundred bytes.
 */
import { assert } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { contract, Wire } from "../../src/contract/Wire.ts"

const quota = { bytes: 1_048_576, rows: 1000 }

/** What a row counts for besides its texts. */
const rowBytes = 256

const tag = "filling"

/** An account with an agent and a daemon that has room for a hundred bytes, which is less than a row. */
const scene = Effect.gen(function* () {
  const wire = yield* Wire
  const owner = yield* wire.person()
  const { line: agent, sid } = yield* owner.agent
  const { line: daemon, machineId } = yield* owner.daemon
  const { bytes } = yield* owner.call("GET /v1/account/storage", 200)
  const metadata = "x".repeat(quota.bytes - bytes - rowBytes - tag.length - 100)
  const { session } = yield* owner.call("POST /v1/sessions", 200, { body: { tag, metadata } })
  return { ...wire, owner, agent, sid, daemon, machineId, fillingId: session.id }
})

type Scene = Effect.Effect.Success<typeof scene>

const newMachine = () => ({ id: crypto.randomUUID(), metadata: "m" })
const newArtifact = () => ({ id: crypto.randomUUID(), header: "", body: "", dataEncryptionKey: "" })
const report = { key: "k", tokens: { total: 1 }, cost: { total: 1 } }

/** Every request that stores a new row for an account, each of which passes where there is room. */
const requests = ({ machineId, owner, sid }: Scene, status: 200 | 503) => {
  const params = { id: sid }
  return [
    owner.call("POST /v1/sessions", status, { body: { tag: "new", metadata: "m" } }),
    owner.call("POST /v2/sessions/:id/messages", status, { params, body: { ciphertext: "c" } }),
    owner.call("POST /v3/sessions/:id/messages", status, {
      params,
      body: { messages: [{ content: "c", localId: "b" }] }
    }),
    owner.call("POST /v2/usage-reports", status, { body: report }),
    owner.call("POST /v1/machines", status, { body: newMachine() }),
    owner.call("POST /v1/push-tokens", status, { body: { token: "t" } }),
    owner.call("POST /v1/connect/:vendor/register", status, { params: { vendor: "openai" }, body: { token: "t" } }),
    owner.call("POST /v1/artifacts", status, { body: newArtifact() }),
    owner.call("POST /v1/kv", status, { body: { mutations: [{ key: "k", value: "AAAA", version: -1 }] } }),
    owner.call("POST /v1/access-keys/:sessionId/:machineId", status, {
      params: { sessionId: sid, machineId },
      body: { data: "x" }
    })
  ]
}

/** Every event that does. Their clients take a refusal for final, so none is answered before it is stored. */
const events = ({ agent, ask, sid }: Scene): ReadonlyArray<Effect.Effect<unknown>> => [
  ask(agent, "message", "ok", { sid, message: "m", localId: "kept" }),
  ask(agent, "usage-report", "success", { ...report, key: "event" }),
  ask(agent, "artifact-create", "success", newArtifact())
]

contract(
  "Quota",
  (it) => {
    it.scoped("refuses each new row of an account at its quota, and has room as soon as something is deleted", () =>
      Effect.gen(function* () {
        const cast = yield* scene
        const { call, owner, fillingId, server } = cast
        for (const request of requests(cast, 503)) {
          const { code } = (yield* request) as { readonly code: string }
          assert.strictEqual(code, "QuotaExceeded")
        }
        const full = yield* owner.call("GET /v1/account/storage", 200)
        assert.deepStrictEqual(full.quota, quota)
        assert.strictEqual(full.bytes, quota.bytes - 100)
        assert.include(server.output(), `"code":"QUOTA_EXCEEDED"`)
        const metrics = yield* call("GET /metrics", 200)
        assert.match(String(metrics), /account_quota_refusals_total\{quota="bytes"\} \d\d/)

        yield* owner.call("DELETE /v1/sessions/:id", 200, { params: { id: fillingId } })
        for (const request of requests(cast, 200)) yield* request
      })
    )

    it.scoped("lets what exists be controlled, ended and deleted, and everything be read", () =>
      Effect.gen(function* () {
        const { agent, ask, daemon, machineId, owner, say, sid } = yield* scene
        yield* ask(daemon, "machine-update-metadata", "success", { machineId, metadata: "longer", expectedVersion: 1 })
        yield* ask(daemon, "machine-update-state", "success", { machineId, daemonState: "state", expectedVersion: 0 })
        const state = "x".repeat(2000)
        yield* ask(agent, "update-state", "success", { sid, agentState: state, expectedVersion: 0 })
        yield* ask(agent, "update-metadata", "success", { sid, metadata: "longer", expectedVersion: 0 })
        yield* owner.call("POST /v1/account/settings", 200, { body: { settings: "s", expectedVersion: 0 } })
        yield* owner.call("GET /v1/sessions", 200)
        yield* owner.call("POST /v1/machines", 200, { body: { id: machineId, metadata: "longer" } })
        yield* say(agent, "session-end", { sid, time: Date.now() })
        yield* agent.settled
        yield* owner.call("POST /v2/sessions/:id/archive", 200, { params: { id: sid } })
        yield* owner.call("POST /v1/machines/:id/revoke", 200, { params: { id: machineId } })
        yield* owner.call("DELETE /v1/sessions/:id", 200, { params: { id: sid } })
      })
    )

    it.scoped("keeps events of an account at its quota, and answers each once there is room", () =>
      Effect.gen(function* () {
        const cast = yield* scene
        const { owner, fillingId, sid } = cast
        const asked = yield* Effect.forEach(events(cast), Effect.forkDaemon)
        yield* Effect.sleep("3 seconds")
        for (const fiber of asked) assert.isNull(fiber.unsafePoll())
        yield* owner.call("DELETE /v1/sessions/:id", 200, { params: { id: fillingId } })
        yield* Fiber.joinAll(asked)
        const { messages } = yield* owner.call("GET /v1/sessions/:id/messages", 200, { params: { id: sid } })
        assert.deepStrictEqual(
          messages.map(({ localId }) => localId),
          ["kept"]
        )
      })
    )

    it.scoped("does not concern another account", () =>
      Effect.gen(function* () {
        const cast = yield* scene
        const { ask, person } = cast
        const other = yield* person()
        const { line: agent, sid } = yield* other.agent
        const { machineId } = yield* other.daemon
        for (const request of requests(cast, 503)) yield* request
        for (const request of requests({ ...cast, owner: other, machineId, sid }, 200)) yield* request
        for (const event of events({ ...cast, ask, agent, sid })) yield* event
      })
    )
  },
  {
    HAPPIER_ACCOUNT_QUOTA: "on",
    HAPPIER_ACCOUNT_QUOTA_BYTES: String(quota.bytes),
    HAPPIER_ACCOUNT_QUOTA_ROWS: String(quota.rows)
  }
)
