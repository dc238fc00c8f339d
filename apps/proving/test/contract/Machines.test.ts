/**
 * Goal: a machine is registered once, belongs to one account, and its two texts
 * are replaced under compare-and-set.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { contract, overhear, Wire } from "../../src/contract/Wire.ts"

const registration = () => ({ id: crypto.randomUUID(), metadata: "m", daemonState: "s", dataEncryptionKey: "AAEC" })

contract("Machines", (it) => {
  it.scoped("registers a machine, offline until its daemon connects, and answers the same when it comes again", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const { call } = yield* person()
      const body = registration()
      const { machine } = yield* call("POST /v1/machines", 200, { body })
      const { activeAt, createdAt, updatedAt, ...rest } = machine
      assert.deepStrictEqual(rest, { ...body, metadataVersion: 1, daemonStateVersion: 1, active: false })
      assert.strictEqual(createdAt, updatedAt)
      assert.strictEqual(createdAt, activeAt)
      const again = yield* call("POST /v1/machines", 200, { body: { ...body, metadata: "changed" } })
      assert.deepStrictEqual(again.machine, machine)
    })
  )

  it.scoped("begins the version of a state with the first state", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const { call } = yield* person()
      for (const absent of [{}, { daemonState: null, dataEncryptionKey: null }]) {
        const body = { id: crypto.randomUUID(), metadata: "m", ...absent }
        const { machine } = yield* call("POST /v1/machines", 200, { body })
        assert.include(machine, { daemonState: null, daemonStateVersion: 0, dataEncryptionKey: null })
      }
    })
  )

  it.scoped("returns the same machine to concurrent registrations", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const { call } = yield* person()
      const { id } = registration()
      const answers = yield* Effect.forEach(
        ["a", "b", "c", "d"],
        (metadata) => call("POST /v1/machines", 200, { body: { id, metadata } }),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(new Set(answers.map(({ machine }) => machine.metadata)).size, 1)
    })
  )

  it.scoped("lists the machines of the account, the last active first", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const [owner, stranger] = yield* Effect.all([person(), person()])
      assert.deepStrictEqual(yield* owner.call("GET /v1/machines", 200), [])
      const { machineId: first } = yield* owner.daemon
      const { machineId: second } = yield* owner.daemon
      const { machineId: foreign } = yield* stranger.daemon
      const machines = yield* owner.call("GET /v1/machines", 200)
      assert.deepStrictEqual(
        machines.map(({ id }) => id),
        [second, first]
      )
      assert.isTrue(machines.every(({ active }) => active))
      const { machine } = yield* owner.call("GET /v1/machines/:id", 200, { params: { id: first } })
      assert.deepStrictEqual(
        machine,
        machines.find(({ id }) => id === first)
      )
      yield* owner.call("GET /v1/machines/:id", 404, { params: { id: foreign } })
      yield* owner.call("GET /v1/machines/:id", 404, { params: { id: crypto.randomUUID() } })
    })
  )

  it.scoped("revokes a machine for good: its daemon is disconnected, its id is refused, lists leave it out", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const { agent, app, call, connect, daemon } = yield* person()
      const line = yield* app
      const { sid: sessionId } = yield* agent
      const { line: machine, machineId } = yield* daemon
      const key = { params: { sessionId, machineId }, body: { data: "x" } }
      yield* call("POST /v1/access-keys/:sessionId/:machineId", 200, key)
      const params = { id: machineId }
      const { answer, heard } = yield* overhear({ line }, call("POST /v1/machines/:id/revoke", 200, { params }))
      const { revokedAt } = answer.machine
      assert.approximately(revokedAt, Date.now(), 60_000)
      assert.deepInclude(
        heard.line.map(({ payload }) => payload.body),
        { t: "update-machine", machineId, active: false, revokedAt: heard.line[0]?.payload.body.revokedAt }
      )
      yield* machine.until(({ event }) => event === "disconnect")
      yield* call("GET /v1/machines/:id", 410, { params })
      yield* call("POST /v1/machines", 410, { body: { id: machineId, metadata: "m" } })
      assert.deepStrictEqual(yield* call("GET /v1/machines", 200), [])
      yield* call("GET /v1/access-keys/:sessionId/:machineId", 404, key)
      const again = yield* overhear({ line }, call("POST /v1/machines/:id/revoke", 200, { params }))
      assert.strictEqual(again.answer.machine.revokedAt, revokedAt)
      assert.notInclude(again.names.line, "update update-machine")
      yield* call("DELETE /v1/machines/:id", 200, { params })
      const refused = yield* Effect.exit(
        Effect.timeout(connect({ clientType: "machine-scoped", machineId }), "500 millis")
      )
      assert.strictEqual(refused._tag, "Failure")
    })
  )

  it.scoped("revokes a machine in the same way when it is to be deleted, and none of another account", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const [owner, stranger] = yield* Effect.all([person(), person()])
      const { machineId } = yield* owner.daemon
      const params = { id: machineId }
      yield* stranger.call("DELETE /v1/machines/:id", 404, { params })
      yield* stranger.call("POST /v1/machines/:id/revoke", 404, { params })
      yield* owner.call("DELETE /v1/machines/:id", 200, { params })
      yield* owner.call("GET /v1/machines/:id", 410, { params })
    })
  )

  it.scoped("keeps the id of a machine for the account that was first", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const [owner, stranger] = yield* Effect.all([person(), person()])
      const { machineId } = yield* owner.daemon
      yield* stranger.call("POST /v1/machines", 409, { body: { id: machineId, metadata: "m" } })
      assert.deepStrictEqual(yield* stranger.call("GET /v1/machines", 200), [])
    })
  )

  it.scoped("names the field of a registration that does not fit", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const { call } = yield* person()
      const { message } = yield* call("POST /v1/machines", 400, { body: { id: crypto.randomUUID() } })
      assert.strictEqual(message, "body/metadata is required")
      for (const wrong of [{ id: "" }, { id: "x".repeat(129) }, { metadata: 1 }, { dataEncryptionKey: "%" }]) {
        yield* call("POST /v1/machines", 400, { body: { ...registration(), ...wrong } })
      }
    })
  )

  it.scoped("replaces the metadata of a machine at the version that is expected", () =>
    Effect.gen(function* () {
      const { ask, person } = yield* Wire
      const owner = yield* person()
      const { line, machineId } = yield* owner.daemon
      const update = (metadata: string, expectedVersion: number) => ({ machineId, metadata, expectedVersion })
      const event = "machine-update-metadata"
      const replaced = yield* ask(line, event, "success", update("new", 1))
      assert.deepStrictEqual(replaced, { result: "success", version: 2, metadata: "new" })
      const late = yield* ask(line, event, "version-mismatch", update("late", 1))
      assert.deepStrictEqual(late, { result: "version-mismatch", version: 2, metadata: "new" })
      yield* ask(line, event, "error", { machineId, metadata: "no version" })
      yield* ask(line, event, "error", { ...update("m", 1), machineId: crypto.randomUUID() })
    })
  )

  it.scoped("replaces the state of a machine at the version that is expected, and holds it for alive", () =>
    Effect.gen(function* () {
      const { ask, person } = yield* Wire
      const [owner, stranger] = yield* Effect.all([person(), person()])
      const { line, machineId } = yield* owner.daemon
      const foreign = yield* stranger.app
      const update = (daemonState: string, expectedVersion: number) => ({ machineId, daemonState, expectedVersion })
      const event = "machine-update-state"
      const first = yield* ask(line, event, "version-mismatch", update("early", 1))
      assert.deepStrictEqual(first, { result: "version-mismatch", version: 0, daemonState: null })
      const replaced = yield* ask(line, event, "success", update("new", 0))
      assert.deepStrictEqual(replaced, { result: "success", version: 1, daemonState: "new" })
      yield* ask(line, event, "error", null)
      const refused = yield* ask(foreign, event, "error", update("mine", 1))
      assert.strictEqual(refused.message, "Machine not found")
      const { machine } = yield* owner.call("GET /v1/machines/:id", 200, { params: { id: machineId } })
      assert.include(machine, { daemonState: "new", daemonStateVersion: 1, active: true })
    })
  )
})
