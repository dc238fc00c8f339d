/**
 * Goal: sessions over HTTP and over sockets: opened once per tag, listed in three
 * orders, changed under compare-and-set, deleted.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { contract, type Person, Wire } from "../../src/contract/Wire.ts"

const opening = (tag: string = crypto.randomUUID()) => ({ tag, metadata: "m" })

const open = ({ call }: Pick<Person, "call">, body: object = opening()) =>
  Effect.map(call("POST /v1/sessions", 200, { body }), ({ session }) => session)

const openMany = (person: Person, count: number) => Effect.all(Array.from({ length: count }, () => open(person)))

const ids = (sessions: ReadonlyArray<{ readonly id: string }>) => sessions.map(({ id }) => id)

contract("Sessions", (it) => {
  it.scoped("opens a session that is active at once, and answers the same for its tag", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const [owner, stranger] = yield* Effect.all([person(), person()])
      const body = { ...opening(), agentState: "s", dataEncryptionKey: "AAEC" }
      const session = yield* open(owner, body)
      const { id, activeAt, createdAt, updatedAt, ...rest } = session
      assert.deepStrictEqual(rest, {
        seq: 0,
        metadata: "m",
        metadataVersion: 0,
        agentState: "s",
        agentStateVersion: 0,
        dataEncryptionKey: "AAEC",
        active: true,
        archivedAt: null,
        lastMessage: null
      })
      assert.deepStrictEqual([activeAt, updatedAt], [createdAt, createdAt])
      assert.deepStrictEqual(yield* open(owner, { ...body, metadata: "changed" }), session)
      assert.notStrictEqual((yield* open(stranger, body)).id, id)
    })
  )

  it.scoped("returns the same session to concurrent requests for one tag", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const owner = yield* person()
      const body = opening()
      const sessions = yield* Effect.all(
        Array.from({ length: 5 }, () => open(owner, body)),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(new Set(ids(sessions)).size, 1)
    })
  )

  it.scoped("names the field of an opening that does not fit", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const { call } = yield* person()
      const { message } = yield* call("POST /v1/sessions", 400, { body: { tag: "t" } })
      assert.strictEqual(message, "body/metadata is required")
      for (const wrong of [
        { tag: "" },
        { tag: 1 },
        { metadata: null },
        { agentState: 1 },
        { dataEncryptionKey: "%" }
      ]) {
        yield* call("POST /v1/sessions", 400, { body: { ...opening(), ...wrong } })
      }
    })
  )

  it.scoped("lists the last updated sessions first, 150 at most", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const owner = yield* person()
      const opened = yield* openMany(owner, 152)
      const [oldest] = opened
      const change = { metadata: { ciphertext: "new", expectedVersion: 0 } }
      yield* owner.call("PATCH /v2/sessions/:id", 200, { params: { id: oldest?.id ?? "" }, body: change })
      const { sessions } = yield* owner.call("GET /v1/sessions", 200)
      assert.strictEqual(sessions.length, 150)
      const times = sessions.map(({ updatedAt }) => updatedAt)
      assert.strictEqual(sessions.find(({ id }) => id === oldest?.id)?.updatedAt, times[0])
      assert.deepStrictEqual(
        times,
        times.toSorted((a, b) => b - a)
      )
    })
  )

  it.scoped("lists active sessions without those that have ended", () =>
    Effect.gen(function* () {
      const { person, say } = yield* Wire
      const owner = yield* person()
      const app = yield* owner.app
      const [first, ended, last] = yield* openMany(owner, 3)
      yield* say(app, "session-end", { sid: ended?.id, time: Date.now() + 1 })
      yield* app.until(({ event, payload }) => event === "ephemeral" && payload.id === ended?.id && !payload.active)
      const { sessions } = yield* owner.call("GET /v2/sessions/active", 200)
      assert.sameMembers([...ids(sessions)], [first?.id ?? "", last?.id ?? ""])
      const limited = yield* owner.call("GET /v2/sessions/active", 200, { query: { limit: 1 } })
      assert.strictEqual(limited.sessions.length, 1)
      for (const limit of ["0", "501", "many", "1.5"]) {
        yield* owner.call("GET /v2/sessions/active", 400, { query: { limit } })
      }
    })
  )

  it.scoped("pages through sessions, the newest first, and each once", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const owner = yield* person()
      const opened = yield* openMany(owner, 5)
      const page = (query: { readonly [name: string]: string | number }) =>
        owner.call("GET /v2/sessions", 200, { query })
      const first = yield* page({ limit: 2 })
      const second = yield* page({ limit: 2, cursor: first.nextCursor ?? "" })
      const third = yield* page({ limit: 2, cursor: second.nextCursor ?? "" })
      const pages = [first, second, third]
      assert.deepStrictEqual(
        pages.flatMap(({ sessions }) => ids(sessions)),
        ids(opened).toSorted().toReversed()
      )
      assert.deepStrictEqual(
        pages.map(({ hasNext, nextCursor }) => [hasNext, nextCursor === null]),
        [
          [true, false],
          [true, false],
          [false, true]
        ]
      )
      for (const cursor of ["x", "cursor_v2_a", "cursor_v1_"]) {
        const { error } = yield* owner.call("GET /v2/sessions", 400, { query: { cursor } })
        assert.strictEqual(error, "Invalid cursor format")
      }
      for (const limit of [0, 201]) yield* owner.call("GET /v2/sessions", 400, { query: { limit } })
    })
  )

  it.scoped("shows a session to its account only", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const [owner, stranger] = yield* Effect.all([person(), person()])
      const { lastMessage, ...opened } = yield* open(owner)
      const params = { id: opened.id }
      const { session } = yield* owner.call("GET /v2/sessions/:id", 200, { params })
      assert.deepStrictEqual(session, { ...opened, share: lastMessage })
      yield* stranger.call("GET /v2/sessions/:id", 404, { params })
      yield* owner.call("GET /v2/sessions/:id", 404, { params: { id: "none" } })
      assert.deepStrictEqual((yield* stranger.call("GET /v1/sessions", 200)).sessions, [])
    })
  )

  it.scoped("patches both texts or none, at the versions that are expected", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const [owner, stranger] = yield* Effect.all([person(), person()])
      const { id } = yield* open(owner)
      const params = { id }
      const patch = (body: object) => owner.call("PATCH /v2/sessions/:id", 200, { params, body })
      const metadata = { ciphertext: "new", expectedVersion: 0 }
      assert.deepStrictEqual(yield* patch({ metadata, agentState: { ciphertext: "s", expectedVersion: 0 } }), {
        success: true,
        metadata: { version: 1 },
        agentState: { version: 1 }
      })
      assert.deepStrictEqual(yield* patch({ metadata, agentState: { ciphertext: "t", expectedVersion: 1 } }), {
        success: false,
        error: "version-mismatch",
        metadata: { version: 1, value: "new" },
        agentState: { version: 1, value: "s" }
      })
      assert.deepStrictEqual(yield* patch({ agentState: { ciphertext: null, expectedVersion: 1 } }), {
        success: true,
        agentState: { version: 2 }
      })
      const empty = yield* owner.call("PATCH /v2/sessions/:id", 400, { params, body: {} })
      assert.strictEqual(empty.error, "Invalid parameters")
      for (const wrong of [{ ciphertext: null, expectedVersion: 1 }, { ciphertext: "c" }, "text"]) {
        yield* owner.call("PATCH /v2/sessions/:id", 400, { params, body: { metadata: wrong } })
      }
      yield* stranger.call("PATCH /v2/sessions/:id", 404, { params, body: { metadata } })
    })
  )

  it.scoped("archives a session that is not active, and lists it apart until it is taken out", () =>
    Effect.gen(function* () {
      const { person, say } = yield* Wire
      const [owner, stranger] = yield* Effect.all([person(), person()])
      const { line, sid: id } = yield* owner.agent
      const { id: other } = yield* open(owner)
      const params = { id }
      const listed = (route: "GET /v2/sessions" | "GET /v2/sessions/archived") =>
        Effect.map(owner.call(route, 200), ({ sessions }) => ids(sessions))
      yield* owner.call("POST /v2/sessions/:id/archive", 409, { params })
      yield* say(line, "session-end", { sid: id, time: Date.now() })
      yield* line.settled
      const { archivedAt } = yield* owner.call("POST /v2/sessions/:id/archive", 200, { params })
      assert.approximately(archivedAt, Date.now(), 60_000)
      assert.deepStrictEqual(
        [yield* listed("GET /v2/sessions"), yield* listed("GET /v2/sessions/archived")],
        [[other], [id]]
      )
      yield* say(line, "session-alive", { sid: id, time: Date.now() + 5000, thinking: true })
      yield* line.settled
      const { session } = yield* owner.call("GET /v2/sessions/:id", 200, { params })
      assert.include(session, { active: false, archivedAt })
      for (const route of ["POST /v2/sessions/:id/archive", "POST /v2/sessions/:id/unarchive"] as const) {
        yield* stranger.call(route, 403, { params })
        yield* owner.call(route, 403, { params: { id: "none" } })
      }
      for (const cursor of ["x", "cursor_v2_a"]) {
        yield* owner.call("GET /v2/sessions/archived", 400, { query: { cursor } })
      }
      yield* owner.call("POST /v2/sessions/:id/unarchive", 200, { params })
      assert.sameMembers([...(yield* listed("GET /v2/sessions"))], [id, other])
      assert.deepStrictEqual(yield* listed("GET /v2/sessions/archived"), [])
      assert.isNull((yield* owner.call("GET /v2/sessions/:id", 200, { params })).session.archivedAt)
    })
  )

  it.scoped("deletes a session of the account, once", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const [owner, stranger] = yield* Effect.all([person(), person()])
      const { id } = yield* open(owner)
      const params = { id }
      yield* stranger.call("DELETE /v1/sessions/:id", 404, { params })
      assert.deepStrictEqual(yield* owner.call("DELETE /v1/sessions/:id", 200, { params }), { success: true })
      yield* owner.call("DELETE /v1/sessions/:id", 404, { params })
      yield* owner.call("GET /v2/sessions/:id", 404, { params })
    })
  )

  it.scoped("replaces the texts of a session for the sockets of its account", () =>
    Effect.gen(function* () {
      const { ask, person } = yield* Wire
      const [owner, stranger] = yield* Effect.all([person(), person()])
      const { line, sid } = yield* owner.agent
      const foreign = yield* stranger.app
      const metadata = { sid, metadata: "new", expectedVersion: 0 }
      const replaced = yield* ask(line, "update-metadata", "success", metadata)
      assert.deepStrictEqual(replaced, { result: "success", version: 1, metadata: "new" })
      const late = yield* ask(line, "update-metadata", "version-mismatch", { ...metadata, metadata: "late" })
      assert.deepStrictEqual(late, { result: "version-mismatch", version: 1, metadata: "new" })
      yield* ask(foreign, "update-metadata", "forbidden", metadata)
      yield* ask(line, "update-metadata", "forbidden", { ...metadata, sid: "none" })
      yield* ask(line, "update-metadata", "error", { sid, metadata: null, expectedVersion: 1 })

      const state = { sid, agentState: "s", expectedVersion: 0 }
      yield* ask(line, "update-state", "success", state)
      const cleared = yield* ask(line, "update-state", "success", { sid, agentState: null, expectedVersion: 1 })
      assert.deepStrictEqual(cleared, { result: "success", version: 2, agentState: null })
      const stale = yield* ask(line, "update-state", "version-mismatch", state)
      assert.deepStrictEqual(stale, { result: "version-mismatch", version: 2, agentState: null })
      yield* ask(foreign, "update-state", "forbidden", state)
      yield* ask(line, "update-state", "error", { sid, agentState: "s" })
    })
  )
})
