/**
 * Goal: what a machine needs to open a session, kept once for each pair of both.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { contract, Wire } from "../../src/contract/Wire.ts"

const url = "/v1/access-keys/:sessionId/:machineId"

contract("AccessKeys", (it) => {
  it.scoped("creates a key once and replaces it at the version that is expected", () =>
    Effect.gen(function* () {
      const { ask, person } = yield* Wire
      const { agent, call, daemon } = yield* person()
      const { line, sid: sessionId } = yield* agent
      const { machineId } = yield* daemon
      const params = { sessionId, machineId }
      assert.deepStrictEqual(yield* call(`GET ${url}`, 200, { params }), { accessKey: null })
      assert.deepStrictEqual(yield* ask(line, "access-key-get", "ok", params), { ok: true, accessKey: null })
      const { accessKey } = yield* call(`POST ${url}`, 200, { params, body: { data: "first" } })
      assert.include(accessKey, { data: "first", dataVersion: 1 })
      yield* call(`POST ${url}`, 409, { params, body: { data: "again" } })
      assert.deepStrictEqual(yield* ask(line, "access-key-get", "ok", params), { ok: true, accessKey })
      const replace = (data: string, expectedVersion: number) =>
        call(`PUT ${url}`, 200, { params, body: { data, expectedVersion } })
      assert.deepStrictEqual(yield* replace("second", 1), { success: true, version: 2 })
      assert.deepStrictEqual(yield* replace("third", 1), {
        success: false,
        error: "version-mismatch",
        currentVersion: 2,
        currentData: "second"
      })
      yield* call(`POST ${url}`, 400, { params, body: {} })
      yield* call(`PUT ${url}`, 400, { params, body: { data: "x", expectedVersion: -1 } })
    })
  )

  it.scoped("answers 404 for a pair of another account and for an incomplete one", () =>
    Effect.gen(function* () {
      const { ask, person } = yield* Wire
      const owner = yield* person()
      const { sid: sessionId } = yield* owner.agent
      const { machineId } = yield* owner.daemon
      const other = yield* person()
      const own = { sessionId: (yield* other.agent).sid, machineId: (yield* other.daemon).machineId }
      const line = yield* other.app
      for (const params of [
        { sessionId, machineId },
        { ...own, machineId },
        { ...own, sessionId }
      ]) {
        yield* other.call(`GET ${url}`, 404, { params })
        yield* other.call(`POST ${url}`, 404, { params, body: { data: "x" } })
        yield* other.call(`PUT ${url}`, 404, { params, body: { data: "x", expectedVersion: 1 } })
        yield* ask(line, "access-key-get", "not-found", params)
      }
      yield* other.call(`PUT ${url}`, 404, { params: own, body: { data: "x", expectedVersion: 1 } })
      yield* ask(line, "access-key-get", "invalid", { sessionId })
    })
  )

  it.scoped("ends with its session", () =>
    Effect.gen(function* () {
      const { person, request, server } = yield* Wire
      const { agent, call, daemon, token } = yield* person()
      const params = { sessionId: (yield* agent).sid, machineId: (yield* daemon).machineId }
      const select = `SELECT 1 FROM "AccessKey" WHERE "sessionId" = ?`
      const count = Effect.map(server.database.query(select, params.sessionId), ({ length }) => length)
      yield* call(`POST ${url}`, 200, { params, body: { data: "x" } })
      assert.strictEqual(yield* count, 1)
      const headers = { authorization: `Bearer ${token}` }
      const { status } = yield* request("DELETE", `/v1/sessions/${params.sessionId}`, { headers })
      assert.strictEqual(status, 200)
      assert.strictEqual(yield* count, 0)
    })
  )
})
