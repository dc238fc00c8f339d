/**
 * Goal: each message reaches the recipients that the protocol names, and none
 * of another account. Method: one real socket of every kind. Each message is
 * sent once, and the names of the sockets that received it are compared with
 * the table.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, TestClock } from "effect"
import { Emitter, type Ephemeral } from "../../src/realtime/sending/Emitter.ts"
import * as Room from "../../src/realtime/sending/Room.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { agent, app, authorized, type Client, daemon, layerWith, TestServer } from "../support/TestServer.ts"

const sockets = {
  app: app("a1"),
  "other app": app("a1"),
  agent: agent("a1", "s1"),
  "second agent": agent("a1", "s1"),
  "agent of another session": agent("a1", "s1b"),
  daemon: daemon("a1", "m1"),
  "daemon of another machine": daemon("a1", "m1b"),
  "foreign app": app("a2"),
  "foreign agent": agent("a2", "s2"),
  "foreign daemon": daemon("a2", "m2")
}

type Name = keyof typeof sockets

const apps: ReadonlyArray<Name> = ["app", "other app"]
const ofSession: ReadonlyArray<Name> = [...apps, "agent", "second agent"]
const ofMachine: ReadonlyArray<Name> = [...apps, "daemon"]

/** All sockets are connected, and earlier messages are discarded. */
const everybody = Effect.gen(function* () {
  const database = yield* TestDatabase
  const server = yield* TestServer
  for (const account of ["a1", "a2"]) database.addAccount(account)
  for (const [id, account] of [
    ["1", "a1"],
    ["1b", "a1"],
    ["2", "a2"]
  ]) {
    database.sqlite.exec(
      `INSERT INTO "Session" ("id", "tag", "accountId", "metadata", "lastActiveAt", "createdAt", "updatedAt")
       VALUES ('s${id}', 't${id}', '${account}', 'sealed', 5, 5, 5);
       INSERT INTO "Machine" ("id", "accountId", "metadata", "active", "lastActiveAt", "createdAt", "updatedAt")
       VALUES ('m${id}', '${account}', 'sealed', 0, 5, 5, 5)`
    )
  }
  const clients = yield* Effect.all(
    Object.fromEntries(Object.entries(sockets).map(([name, auth]) => [name, server.connect(auth)]))
  )
  const heard = Effect.gen(function* () {
    const found: Array<{ readonly name: string; readonly event: string; readonly message: any }> = []
    for (const [name, client] of Object.entries(clients)) {
      for (const event of ["update", "ephemeral"]) {
        for (const message of yield* client.rest(event)) found.push({ name, event, message })
      }
    }
    return found
  })
  yield* heard
  return { clients: clients as { readonly [name in Name]: Client }, heard, server }
})

const namesOf = (heard: ReadonlyArray<{ readonly name: string }>) => heard.map(({ name }) => name)

describe("rooms", () => {
  const updates: ReadonlyArray<readonly [string, Room.Recipients, ReadonlyArray<Name>]> = [
    ["new-session", Room.toApps("a1"), apps],
    ["update-session", Room.toSession("a1", "s1"), ofSession],
    ["delete-session", Room.toApps("a1"), apps],
    ["new-message", Room.toSession("a1", "s1"), ofSession],
    ["new-machine", Room.toApps("a1"), apps],
    ["update-machine", Room.toMachine("a1", "m1"), ofMachine],
    ["update-account", Room.toApps("a1"), apps]
  ]
  const ephemerals: ReadonlyArray<Ephemeral> = [
    { type: "activity", id: "s1", active: true, activeAt: 1, thinking: false },
    { type: "machine-activity", id: "m1", active: true, activeAt: 1 },
    { type: "usage", id: "s1", key: "k", tokens: { total: 1 }, cost: { total: 1 }, timestamp: 1 }
  ]

  it.scoped("carry each kind of update to its recipients once, in a container without other keys", () =>
    Effect.gen(function* () {
      const { heard } = yield* everybody
      const emitter = yield* Emitter
      for (const [seq, [t, recipients, names]] of updates.entries()) {
        emitter.update(recipients, { seq, body: { t } })
        const found = yield* heard
        assert.sameMembers(namesOf(found), [...names], t)
        for (const { event, message } of found) {
          assert.strictEqual(event, "update")
          assert.sameMembers(Object.keys(message), ["id", "seq", "body", "createdAt"])
          assert.match(message.id, /^[A-Za-z0-9]{12}$/)
          assert.strictEqual(message.seq, seq)
          assert.isTrue(Number.isSafeInteger(message.createdAt))
        }
        assert.strictEqual(new Set(found.map(({ message }) => message.id)).size, 1)
      }
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("leave out the sending socket, and no other of its session or machine", () =>
    Effect.gen(function* () {
      const { clients, heard } = yield* everybody
      const emitter = yield* Emitter
      for (const [sender, recipients, names] of [
        ["agent", Room.toSession("a1", "s1"), ofSession],
        ["app", Room.toSession("a1", "s1"), ofSession],
        ["daemon", Room.toMachine("a1", "m1"), ofMachine]
      ] as const) {
        const exceptSocket = String(clients[sender].socket.id)
        emitter.update(recipients, { seq: 1, body: { t: "new-message" } }, { exceptSocket })
        assert.sameMembers(
          namesOf(yield* heard),
          names.filter((name) => name !== sender)
        )
      }
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("carry every ephemeral to the apps alone", () =>
    Effect.gen(function* () {
      const { heard } = yield* everybody
      const emitter = yield* Emitter
      for (const ephemeral of ephemerals) {
        for (const send of [emitter.ephemeral, emitter.repeated]) {
          // A heartbeat is repeated once a second.
          yield* TestClock.adjust("1 second")
          send(Room.toApps("a1"), ephemeral)
          const found = yield* heard
          assert.sameMembers(namesOf(found), [...apps], ephemeral.type)
          for (const { event, message } of found) {
            assert.strictEqual(event, "ephemeral")
            assert.deepStrictEqual(message, ephemeral)
          }
        }
      }
    }).pipe(Effect.provide(layerWith()))
  )
})

describe("features", () => {
  type Everybody = Effect.Effect.Success<typeof everybody>

  const post =
    (url: string, payload: object) =>
    ({ server }: Everybody) =>
      server.inject({ method: "POST", url, payload, headers: authorized("a1") })

  const ask =
    (sender: Name, event: string, payload: object) =>
    ({ clients }: Everybody) =>
      clients[sender].ask(event, payload)

  const say =
    (sender: Name, event: string, payload: object) =>
    ({ clients }: Everybody) =>
      Effect.zipRight(
        Effect.sync(() => clients[sender].emit(event, payload)),
        clients[sender].flush
      )

  const others = (names: ReadonlyArray<Name>, sender: Name) => names.filter((name) => name !== sender)

  /** What happens, the message about it, and its recipients. */
  const matrix: ReadonlyArray<
    readonly [string, (all: Everybody) => Effect.Effect<unknown>, Readonly<Record<string, ReadonlyArray<Name>>>]
  > = [
    ["a session is opened", post("/v1/sessions", { tag: "new", metadata: "sealed" }), { "new-session": apps }],
    [
      "an agent changes its metadata",
      ask("agent", "update-metadata", { sid: "s1", metadata: "new", expectedVersion: 0 }),
      { "update-session": others(ofSession, "agent") }
    ],
    [
      "an agent changes its state",
      ask("agent", "update-state", { sid: "s1", agentState: "new", expectedVersion: 0 }),
      { "update-session": others(ofSession, "agent") }
    ],
    [
      "an app changes the metadata of a session",
      ask("app", "update-metadata", { sid: "s1", metadata: "newer", expectedVersion: 1 }),
      { "update-session": others(ofSession, "app") }
    ],
    [
      "a machine registers",
      post("/v1/machines", { id: "0f9d2c6e-2b1f-4f66-9b4b-6f3a1c7d5e10", metadata: "sealed" }),
      { "new-machine": apps, "update-machine": apps }
    ],
    [
      "a daemon changes its metadata",
      ask("daemon", "machine-update-metadata", { machineId: "m1", metadata: "new", expectedVersion: 0 }),
      { "update-machine": ofMachine }
    ],
    [
      "a daemon changes its state",
      ask("daemon", "machine-update-state", { machineId: "m1", daemonState: "new", expectedVersion: 0 }),
      { "update-machine": ofMachine }
    ],
    ["an agent beats", say("agent", "session-alive", { sid: "s1", time: Date.now() }), { activity: apps }],
    [
      "a daemon beats",
      say("daemon", "machine-alive", { machineId: "m1", time: Date.now() }),
      { "machine-activity": apps }
    ],
    [
      "an agent reports its usage",
      ask("agent", "usage-report", { key: "k", sessionId: "s1", tokens: { total: 1 }, cost: { total: 1 } }),
      { usage: apps }
    ],
    ["an agent ends its session", say("agent", "session-end", { sid: "s1", time: Date.now() }), { activity: apps }],
    [
      "a client changes a row of another account",
      ({ clients }) =>
        Effect.all([
          clients["foreign agent"].ask("update-metadata", { sid: "s1", metadata: "stolen", expectedVersion: 2 }),
          clients["foreign daemon"].ask("machine-update-state", {
            machineId: "m1",
            daemonState: "stolen",
            expectedVersion: 1
          }),
          Effect.sync(() => clients["foreign agent"].emit("session-alive", { sid: "s1", time: Date.now() })),
          Effect.sync(() => clients["foreign app"].emit("machine-alive", { machineId: "m1", time: Date.now() })),
          Effect.sync(() => clients["foreign app"].emit("session-end", { sid: "s1", time: Date.now() })),
          clients["foreign app"].flush
        ]),
      {}
    ]
  ]

  it.scoped("announce each event to exactly its recipients", () =>
    Effect.gen(function* () {
      const all = yield* everybody
      for (const [what, happen, expected] of matrix) {
        // A heartbeat is repeated once a second.
        yield* TestClock.adjust("1 second")
        yield* happen(all)
        const found = (yield* all.heard).map(({ event, message, name }) => ({
          name,
          kind: String(event === "update" ? message.body.t : message.type)
        }))
        assert.sameMembers([...new Set(found.map(({ kind }) => kind))], Object.keys(expected), what)
        for (const [kind, names] of Object.entries(expected)) {
          assert.sameMembers(namesOf(found.filter((item) => item.kind === kind)), [...names], `${what}: ${kind}`)
        }
      }
    }).pipe(Effect.provide(layerWith()))
  )
})
