/**
 * Goal: a client that was away reads what changed since, one line for each
 * entity, and is told when its cursor is no longer valid.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { contract, Wire } from "../../src/contract/Wire.ts"

contract("Changes", (it) => {
  it.scoped("begins at zero, and has one line for each entity, that of its newest change", () =>
    Effect.gen(function* () {
      const { ask, person } = yield* Wire
      const { agent, call, daemon } = yield* person()
      assert.deepStrictEqual(yield* call("GET /v2/cursor", 200), { cursor: 0, changesFloor: 0 })
      assert.deepStrictEqual(yield* call("GET /v2/changes", 200), { changes: [], nextCursor: 0 })
      const { line, sid } = yield* agent
      const { machineId } = yield* daemon
      yield* call("POST /v1/account/settings", 200, { body: { settings: "s", expectedVersion: 0 } })
      const { id, seq } = yield* ask(line, "message", "ok", { sid, message: "m" })
      const { changes, nextCursor } = yield* call("GET /v2/changes", 200)
      assert.deepStrictEqual(
        changes.map(({ cursor, kind, entityId, hint }) => ({ cursor, kind, entityId, hint })),
        [
          { cursor: 2, kind: "machine", entityId: machineId, hint: null },
          { cursor: 3, kind: "account", entityId: "self", hint: null },
          { cursor: 4, kind: "session", entityId: sid, hint: { lastMessageSeq: seq, lastMessageId: id } }
        ]
      )
      assert.strictEqual(nextCursor, 4)
      assert.deepStrictEqual(yield* call("GET /v2/cursor", 200), { cursor: 4, changesFloor: 0 })
    })
  )

  it.scoped("keeps the line of a session that was deleted", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const { agent, call } = yield* person()
      const { sid } = yield* agent
      yield* call("DELETE /v1/sessions/:id", 200, { params: { id: sid } })
      const { changes } = yield* call("GET /v2/changes", 200)
      assert.deepStrictEqual(
        changes.map(({ cursor, entityId, hint }) => [cursor, entityId, hint]),
        [[2, sid, null]]
      )
    })
  )

  it.scoped("is read in pages, and ends where it ends", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const { call } = yield* person()
      for (const tag of ["a", "b", "c"]) yield* call("POST /v1/sessions", 200, { body: { tag, metadata: "m" } })
      const page = (after: number) => call("GET /v2/changes", 200, { query: { after, limit: 2 } })
      const first = yield* page(0)
      const second = yield* page(first.nextCursor)
      const last = yield* page(second.nextCursor)
      assert.deepStrictEqual(
        [first, second, last].map(({ changes, nextCursor }) => [changes.map(({ cursor }) => cursor), nextCursor]),
        [
          [[1, 2], 2],
          [[3], 3],
          [[], 3]
        ]
      )
      for (const query of [{ limit: 0 }, { limit: 501 }, { after: -1 }, { after: "x" }]) {
        yield* call("GET /v2/changes", 400, { query })
      }
    })
  )

  it.scoped("sends a client back to the start whose cursor is ahead, or older than the feed reaches", () =>
    Effect.gen(function* () {
      const { person, server } = yield* Wire
      const { call, id } = yield* person()
      for (const tag of ["a", "b", "c"]) yield* call("POST /v1/sessions", 200, { body: { tag, metadata: "m" } })
      const ahead = yield* call("GET /v2/changes", 410, { query: { after: 4 } })
      assert.deepStrictEqual(ahead, { error: "cursor-gone", currentCursor: 3 })
      // As the pruner leaves it, which comes by once in a while.
      yield* server.database.query(`UPDATE "Account" SET "changesFloor" = 2 WHERE "id" = ?`, id)
      const behind = yield* call("GET /v2/changes", 410, { query: { after: 1 } })
      assert.deepStrictEqual(behind, { error: "cursor-gone", currentCursor: 3 })
      assert.deepStrictEqual(yield* call("GET /v2/cursor", 200), { cursor: 3, changesFloor: 2 })
      yield* call("GET /v2/changes", 200, { query: { after: 2 } })
    })
  )
})
