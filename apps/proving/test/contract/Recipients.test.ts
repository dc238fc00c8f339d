/**
 * Goal: each message reaches every recipient once, and no other socket. Method:
 * two apps, two agents of one session, an agent of another one, and two daemons
 * of one account, and an app of another account. What each of them receives
 * while something happens is compared.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import type { Heard, Line } from "../../src/drivers/Device.ts"
import * as Eventually from "../../src/drivers/Eventually.ts"
import { contract, overhear, type Person, Wire } from "../../src/contract/Wire.ts"

const makeCast = Effect.gen(function* () {
  const { person } = yield* Wire
  const [owner, other] = yield* Effect.all([person(), person()])
  const { line: agent, sid } = yield* owner.agent
  const { line: daemon, machineId } = yield* owner.daemon
  const lines = {
    app: yield* owner.app,
    app2: yield* owner.app,
    agent,
    agent2: yield* owner.connect({ clientType: "session-scoped", sessionId: sid }),
    otherAgent: (yield* owner.agent).line,
    daemon,
    otherDaemon: (yield* owner.daemon).line,
    stranger: yield* other.app
  }
  // Each received the connection of the others.
  yield* Effect.forEach(Object.values(lines), ({ settled }) => settled)
  return { owner, lines, sid, machineId }
})

type Lines = Effect.Effect.Success<typeof makeCast>["lines"]

/** Checks that these sockets received exactly this, and all others nothing. Returns what the app received. */
const heardOnlyBy = <A, E, R>(
  lines: Lines,
  who: ReadonlyArray<keyof Lines>,
  what: ReadonlyArray<string>,
  action: Effect.Effect<A, E, R>
) =>
  Effect.map(overhear(lines, action), ({ heard, names }) => {
    const expected = Object.keys(lines).map((name) => [name, who.includes(name as keyof Lines) ? what : []])
    assert.deepStrictEqual(names, Object.fromEntries(expected))
    const copies = who.map((name) => heard[name].map(({ payload }) => payload))
    for (const copy of copies) assert.deepStrictEqual(copy, copies[0], "all receive the same")
    return copies[0] ?? []
  })

/** A heartbeat is repeated to apps once a second, and each row was announced while its sockets connected. */
const anotherSecond = Effect.sleep("1100 millis")

const apps = ["app", "app2"] as const
const session = [...apps, "agent", "agent2"] as const
const machine = [...apps, "daemon"] as const

const cursorOf = ({ call }: Person) => Effect.map(call("GET /v2/cursor", 200), ({ cursor }) => cursor)

const isAbout =
  (id: string, active: boolean, type: string) =>
  ({ event, payload }: Heard) =>
    event === "ephemeral" && payload.type === type && payload.id === id && payload.active === active

/** Sends what has no ack, and waits until it was handled. */
const said = (line: Line, send: Effect.Effect<void>) => Effect.zipRight(send, line.settled)

contract(
  "Recipients",
  (it) => {
    it.scoped("apps hear of a new session", () =>
      Effect.gen(function* () {
        const { lines, owner } = yield* makeCast
        const body = { tag: "new", metadata: "m" }
        const open = owner.call("POST /v1/sessions", 200, { body })
        const [update] = yield* heardOnlyBy(lines, apps, ["update new-session"], open)
        assert.strictEqual(update.seq, yield* cursorOf(owner))
        const { session } = yield* owner.call("POST /v1/sessions", 200, { body })
        const { lastMessage, ...shown } = session
        assert.deepStrictEqual(update.body, { t: "new-session", sid: session.id, ...shown })
        assert.isNull(lastMessage)
        yield* heardOnlyBy(lines, [], [], open)
      })
    )

    it.scoped("a session receives its messages, except the sender unless it asks for an echo", () =>
      Effect.gen(function* () {
        const { ask } = yield* Wire
        const { lines, owner, sid } = yield* makeCast
        const what = ["update new-message"]
        const send = (line: Line, more: object = {}) => ask(line, "message", "ok", { sid, message: "m", ...more })
        const fromAgent = send(lines.agent, { localId: "1" })
        const [update] = yield* heardOnlyBy(lines, ["app", "app2", "agent2"], what, fromAgent)
        assert.strictEqual(update.seq, yield* cursorOf(owner))
        const { messages } = yield* owner.call("GET /v1/sessions/:id/messages", 200, { params: { id: sid } })
        assert.deepStrictEqual(update.body, { t: "new-message", id: sid, sid, message: messages[0] })
        // Sent again, it is the same message.
        yield* heardOnlyBy(lines, [], [], fromAgent)
        yield* heardOnlyBy(lines, ["app2", "agent", "agent2"], what, send(lines.app))
        yield* heardOnlyBy(lines, session, what, send(lines.agent, { echoToSender: true }))
        yield* heardOnlyBy(lines, session, what, send(lines.otherAgent))
        const post = owner.call("POST /v2/sessions/:id/messages", 200, {
          params: { id: sid },
          body: { ciphertext: "c" }
        })
        yield* heardOnlyBy(lines, session, what, post)
        const postBatch = owner.call("POST /v3/sessions/:id/messages", 200, {
          params: { id: sid },
          body: { messages: [{ content: "c", localId: "2" }] }
        })
        yield* heardOnlyBy(lines, session, what, postBatch)
        yield* heardOnlyBy(lines, [], [], postBatch)
        yield* heardOnlyBy(lines, [], [], ask(lines.stranger, "message", "session-not-found", { sid, message: "m" }))
      })
    )

    it.scoped("a session receives its texts, except the sender", () =>
      Effect.gen(function* () {
        const { ask } = yield* Wire
        const { lines, owner, sid } = yield* makeCast
        const what = ["update update-session"]
        const metadata = { sid, metadata: "new", expectedVersion: 0 }
        const replace = ask(lines.agent, "update-metadata", "success", metadata)
        const [update] = yield* heardOnlyBy(lines, ["app", "app2", "agent2"], what, replace)
        const body = { t: "update-session", id: sid, sid, metadata: { value: "new", version: 1 } }
        assert.deepStrictEqual(update.body, body)
        assert.strictEqual(update.seq, yield* cursorOf(owner))
        const clear = ask(lines.app, "update-state", "success", { sid, agentState: null, expectedVersion: 0 })
        const [state] = yield* heardOnlyBy(lines, ["app2", "agent", "agent2"], what, clear)
        assert.deepStrictEqual(state.body.agentState, { value: null, version: 1 })
        const patch = {
          metadata: { ciphertext: "m", expectedVersion: 1 },
          agentState: { ciphertext: "s", expectedVersion: 1 }
        }
        const patched = owner.call("PATCH /v2/sessions/:id", 200, { params: { id: sid }, body: patch })
        const [both] = yield* heardOnlyBy(lines, session, what, patched)
        assert.deepStrictEqual(both.body, {
          ...body,
          metadata: { value: "m", version: 2 },
          agentState: { value: "s", version: 2 }
        })
        // Nothing is replaced, so nothing is sent.
        yield* heardOnlyBy(lines, [], [], ask(lines.agent, "update-metadata", "version-mismatch", metadata))
        yield* heardOnlyBy(lines, [], [], ask(lines.stranger, "update-metadata", "forbidden", metadata))
      })
    )

    it.scoped("a session hears that it was archived, and that it was taken out again", () =>
      Effect.gen(function* () {
        const { say } = yield* Wire
        const { lines, owner, sid } = yield* makeCast
        yield* anotherSecond
        yield* said(lines.agent, say(lines.agent, "session-end", { sid, time: Date.now() }))
        yield* lines.app.until(isAbout(sid, false, "activity"))
        const what = ["update update-session"]
        const params = { id: sid }
        const archive = owner.call("POST /v2/sessions/:id/archive", 200, { params })
        const [update] = yield* heardOnlyBy(lines, session, what, archive)
        assert.strictEqual(update.seq, yield* cursorOf(owner))
        const { archivedAt } = (yield* owner.call("GET /v2/sessions/:id", 200, { params })).session
        assert.isNotNull(archivedAt)
        assert.deepStrictEqual(update.body, { t: "update-session", id: sid, sid, archivedAt })
        const unarchive = owner.call("POST /v2/sessions/:id/unarchive", 200, { params })
        const [back] = yield* heardOnlyBy(lines, session, what, unarchive)
        assert.deepStrictEqual(back.body, { t: "update-session", id: sid, sid, archivedAt: null })
      })
    )

    it.scoped("apps hear that a session was deleted", () =>
      Effect.gen(function* () {
        const { lines, owner, sid } = yield* makeCast
        yield* anotherSecond
        const remove = owner.call("DELETE /v1/sessions/:id", 200, { params: { id: sid } })
        const [update] = yield* heardOnlyBy(lines, apps, ["update delete-session"], remove)
        assert.deepStrictEqual(update.body, { t: "delete-session", id: sid, sid })
        assert.strictEqual(update.seq, yield* cursorOf(owner))
      })
    )

    it.scoped("apps hear that a session is alive, that it thinks, and that it has ended", () =>
      Effect.gen(function* () {
        const { say } = yield* Wire
        const { lines, sid } = yield* makeCast
        const time = Date.now()
        const beat = (line: Line, more: object = {}) => said(line, say(line, "session-alive", { sid, time, ...more }))
        yield* anotherSecond
        const [idle] = yield* heardOnlyBy(lines, apps, ["ephemeral activity"], beat(lines.agent))
        assert.include(idle, { type: "activity", id: sid, active: true, thinking: false })
        const busy = beat(lines.agent, { thinking: true, mode: "remote" })
        const [thinking] = yield* heardOnlyBy(lines, apps, ["ephemeral activity"], busy)
        assert.isTrue(thinking.thinking)
        yield* heardOnlyBy(lines, [], [], beat(lines.stranger))
        const end = (line: Line) => say(line, "session-end", { sid, time: time + 1, exit: 0 })
        yield* heardOnlyBy(lines, [], [], said(lines.stranger, end(lines.stranger)))
        yield* anotherSecond
        const ended = Effect.forEach([lines.app, lines.app2], (line) => line.until(isAbout(sid, false, "activity")))
        const [over] = yield* heardOnlyBy(lines, apps, ["ephemeral activity"], Effect.zip(end(lines.agent), ended))
        assert.include(over, { type: "activity", id: sid, active: false, thinking: false })
        // A heartbeat from before the end that arrives after it has no effect.
        yield* heardOnlyBy(lines, [], [], beat(lines.agent))
      })
    )

    it.scoped("a heartbeat is not announced as a change, and reorders no list", () =>
      Effect.gen(function* () {
        const { say, server } = yield* Wire
        const { lines, machineId, owner, sid } = yield* makeCast
        const shown = Effect.all([
          owner.call("GET /v2/cursor", 200),
          Effect.map(owner.call("GET /v1/sessions", 200), ({ sessions }) =>
            sessions.map(({ id, updatedAt }) => ({ id, updatedAt }))
          ),
          Effect.map(owner.call("GET /v1/machines/:id", 200, { params: { id: machineId } }), ({ machine }) => [
            machine.updatedAt,
            machine.metadataVersion,
            machine.daemonStateVersion
          ])
        ])
        const before = yield* shown
        const time = Date.now()
        yield* say(lines.agent, "session-alive", { sid, time })
        yield* say(lines.daemon, "machine-alive", { machineId, time })
        for (const [table, id] of [
          ["Session", sid],
          ["Machine", machineId]
        ] as const) {
          yield* Eventually.until(
            Effect.map(
              server.database.query(`SELECT "lastActiveAt" FROM "${table}" WHERE "id" = ?`, id),
              ([row]) => row
            ),
            (row) => Number(row?.["lastActiveAt"]) >= time
          )
        }
        assert.deepStrictEqual(yield* shown, before)
      })
    )

    it.scoped("apps hear of a new machine, twice under one cursor, and of a known one nothing", () =>
      Effect.gen(function* () {
        const { lines, owner } = yield* makeCast
        const register = owner.call("POST /v1/machines", 200, { body: { id: crypto.randomUUID(), metadata: "m" } })
        const what = ["update new-machine", "update update-machine"]
        const [created, updated] = yield* heardOnlyBy(lines, apps, what, register)
        const { machine } = yield* register
        const { id: machineId, ...shown } = machine
        assert.deepStrictEqual(created.body, { t: "new-machine", machineId, seq: 0, ...shown })
        const metadata = { value: "m", version: 1 }
        assert.deepStrictEqual(updated.body, { t: "update-machine", machineId, metadata })
        assert.deepStrictEqual([created.seq, updated.seq], [yield* cursorOf(owner), created.seq])
        yield* heardOnlyBy(lines, [], [], register)
      })
    )

    it.scoped("apps and the machine hear of its texts, the sender too", () =>
      Effect.gen(function* () {
        const { ask } = yield* Wire
        const { lines, machineId, owner } = yield* makeCast
        const what = ["update update-machine"]
        const metadata = { machineId, metadata: "new", expectedVersion: 1 }
        const replace = ask(lines.app, "machine-update-metadata", "success", metadata)
        const [update] = yield* heardOnlyBy(lines, machine, what, replace)
        const body = { t: "update-machine", machineId, metadata: { value: "new", version: 2 } }
        assert.deepStrictEqual(update.body, body)
        assert.strictEqual(update.seq, yield* cursorOf(owner))
        const state = { machineId, daemonState: "s", expectedVersion: 0 }
        const tell = ask(lines.daemon, "machine-update-state", "success", state)
        const [told] = yield* heardOnlyBy(lines, machine, what, tell)
        assert.deepStrictEqual(told.body.daemonState, { value: "s", version: 1 })
        assert.approximately(told.body.activeAt, Date.now(), 60_000)
        yield* heardOnlyBy(lines, [], [], ask(lines.daemon, "machine-update-state", "version-mismatch", state))
        yield* heardOnlyBy(lines, [], [], ask(lines.stranger, "machine-update-state", "error", state))
      })
    )

    it.scoped("apps hear that a machine is alive, that it comes, and that it is gone", () =>
      Effect.gen(function* () {
        const { say } = yield* Wire
        const { lines, machineId, owner } = yield* makeCast
        const beat = (line: Line) => said(line, say(line, "machine-alive", { machineId, time: Date.now() }))
        const what = ["ephemeral machine-activity"]
        yield* anotherSecond
        const [alive] = yield* heardOnlyBy(lines, apps, what, beat(lines.daemon))
        assert.include(alive, { type: "machine-activity", id: machineId, active: true })
        yield* heardOnlyBy(lines, [], [], beat(lines.stranger))
        const [arrived] = yield* heardOnlyBy(
          lines,
          apps,
          what,
          owner.connect({ clientType: "machine-scoped", machineId })
        )
        assert.include(arrived, { id: machineId, active: true })

        const { line: leaver, machineId: gone } = yield* owner.daemon
        const leave = Effect.sync(() => leaver.socket.disconnect())
        const missed = Effect.forEach([lines.app, lines.app2], (line) =>
          line.until(isAbout(gone, false, "machine-activity"))
        )
        const [left] = yield* heardOnlyBy(lines, apps, what, Effect.zip(leave, missed))
        assert.include(left, { id: gone, active: false })
      })
    )

    it.scoped("apps hear of the settings of the account", () =>
      Effect.gen(function* () {
        const { lines, owner } = yield* makeCast
        const body = { settings: "s", expectedVersion: 0 }
        const replace = owner.call("POST /v1/account/settings", 200, { body })
        const [update] = yield* heardOnlyBy(lines, apps, ["update update-account"], replace)
        assert.deepStrictEqual(update.body, {
          t: "update-account",
          id: owner.id,
          settings: { value: "s", version: 1 }
        })
        assert.strictEqual(update.seq, yield* cursorOf(owner))
        yield* heardOnlyBy(lines, [], [], replace)
      })
    )

    it.scoped("apps receive the usage of a session, and no socket a report without a session", () =>
      Effect.gen(function* () {
        const { ask } = yield* Wire
        const { lines, owner, sid } = yield* makeCast
        const before = yield* cursorOf(owner)
        const report = { key: "k", tokens: { total: 3 }, cost: { total: 0.25 } }
        const about = ask(lines.agent, "usage-report", "success", { ...report, sessionId: sid })
        const [usage] = yield* heardOnlyBy(lines, apps, ["ephemeral usage"], about)
        const { timestamp, ...rest } = usage
        assert.deepStrictEqual(rest, { type: "usage", id: sid, ...report })
        assert.approximately(timestamp, Date.now(), 60_000)
        yield* heardOnlyBy(lines, [], [], ask(lines.agent, "usage-report", "success", report))
        assert.strictEqual(yield* cursorOf(owner), before, "a report is no change of the account")
      })
    )
  },
  {
    HAPPIER_PRESENCE_DISCONNECT_GRACE_MS: "500",
    HAPPIER_PRESENCE_START_GRACE_MS: "1000",
    HAPPIER_PRESENCE_FLUSH_INTERVAL_MS: "200",
    HAPPIER_PRESENCE_PERSIST_THRESHOLD_MS: "0"
  }
)
