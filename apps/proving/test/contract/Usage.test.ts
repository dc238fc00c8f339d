/**
 * Goal: what agents used is stored once for each key and session, and summed up
 * by time.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { contract, Wire } from "../../src/contract/Wire.ts"

const report = (total: number, more: object = {}) => ({
  key: "claude-session",
  tokens: { total, input: 1 },
  cost: { total: 0.5 },
  ...more
})

contract("Usage", (it) => {
  it.scoped("replaces the report of a key and a session, over the socket and over HTTP", () =>
    Effect.gen(function* () {
      const { ask, person } = yield* Wire
      const { agent, call } = yield* person()
      const { line, sid: sessionId } = yield* agent
      const first = yield* ask(line, "usage-report", "success", report(1, { sessionId }))
      const second = yield* call("POST /v2/usage-reports", 200, { body: report(2, { sessionId }) })
      assert.strictEqual(second.reportId, first.reportId)
      assert.strictEqual(second.createdAt, first.createdAt)
      const other = yield* ask(line, "usage-report", "success", report(4, { sessionId, key: "other" }))
      assert.notStrictEqual(other.reportId, first.reportId)
      const answer = yield* call("POST /v1/usage/query", 200, { body: { sessionId, groupBy: "hour" } })
      assert.include(answer, { groupBy: "hour", totalReports: 2 })
      assert.deepStrictEqual(
        answer.usage.map(({ tokens, cost, reportCount }) => ({ tokens, cost, reportCount })),
        [{ tokens: { total: 6, input: 2 }, cost: { total: 1 }, reportCount: 2 }]
      )
    })
  )

  it.scoped("stores a report that is about no session, one for each key", () =>
    Effect.gen(function* () {
      const { ask, person } = yield* Wire
      const { app, call } = yield* person()
      const line = yield* app
      const first = yield* ask(line, "usage-report", "success", report(1))
      const second = yield* ask(line, "usage-report", "success", report(2, { sessionId: null }))
      assert.strictEqual(second.reportId, first.reportId)
      const { totalReports } = yield* call("POST /v1/usage/query", 200, { body: {} })
      assert.strictEqual(totalReports, 1)
    })
  )

  it.scoped("names what does not fit", () =>
    Effect.gen(function* () {
      const { ask, person } = yield* Wire
      const { app, call } = yield* person()
      const line = yield* app
      for (const [outcome, wrong] of [
        ["Invalid key", { key: "" }],
        ["Invalid tokens", { tokens: {} }],
        ["Invalid cost", { cost: 1 }],
        ["Invalid sessionId", { sessionId: 1 }]
      ] as const) {
        yield* ask(line, "usage-report", outcome, report(1, wrong))
        yield* call("POST /v2/usage-reports", 400, { body: report(1, wrong) })
      }
      yield* ask(line, "usage-report", "Invalid key", null)
    })
  )

  it.scoped("keeps to the sessions of the account", () =>
    Effect.gen(function* () {
      const { ask, person } = yield* Wire
      const [owner, stranger] = yield* Effect.all([person(), person()])
      const { sid: sessionId } = yield* owner.agent
      const line = yield* stranger.app
      yield* ask(line, "usage-report", "Session not found", report(1, { sessionId }))
      yield* stranger.call("POST /v2/usage-reports", 404, { body: report(1, { sessionId }) })
      yield* stranger.call("POST /v1/usage/query", 404, { body: { sessionId } })
      yield* owner.call("POST /v2/usage-reports", 200, { body: report(1, { sessionId }) })
      const { totalReports } = yield* stranger.call("POST /v1/usage/query", 200, { body: {} })
      assert.strictEqual(totalReports, 0)
    })
  )

  it.scoped("takes times in seconds, both included, and days by default", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const { call } = yield* person()
      const { updatedAt } = yield* call("POST /v2/usage-reports", 200, { body: report(1) })
      const second = updatedAt / 1000
      const count = (body: object) =>
        Effect.map(call("POST /v1/usage/query", 200, { body }), ({ totalReports }) => totalReports)
      assert.strictEqual(yield* count({ startTime: Math.floor(second), endTime: Math.ceil(second) }), 1)
      assert.strictEqual(yield* count({ startTime: Math.ceil(second) + 1 }), 0)
      assert.strictEqual(yield* count({ endTime: Math.floor(second) - 1 }), 0)
      const { groupBy, usage } = yield* call("POST /v1/usage/query", 200, { body: {} })
      assert.strictEqual(groupBy, "day")
      assert.deepStrictEqual(
        usage.map(({ timestamp }) => timestamp % 86_400),
        [0]
      )
      for (const body of [{ groupBy: "week" }, { startTime: "now" }, { endTime: -1 }]) {
        yield* call("POST /v1/usage/query", 400, { body })
      }
    })
  )
})
