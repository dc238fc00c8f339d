import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Schema } from "effect"
import * as PresenceKey from "../../src/entities/PresenceKey.ts"
import { ReadFailed } from "../../src/database/DatabaseReader.ts"
import { HttpApp } from "../../src/http/HttpApp.ts"
import { Emitter } from "../../src/realtime/sending/Emitter.ts"
import { EventRegistry } from "../../src/realtime/events/EventRegistry.ts"
import * as Room from "../../src/realtime/sending/Room.ts"
import { SocketServer } from "../../src/realtime/SocketServer.ts"
import { valueOf } from "../support/Gauges.ts"
import { PresenceProbe } from "../support/PresenceProbe.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { agent, app, daemon, layerWith, TestServer, tokenOf } from "../support/TestServer.ts"

/** Account `a1` with session `s1` and machine `m1`, account `a2` with `s2` and `m2`. */
const twoAccounts = Effect.tap(TestDatabase, (database) => {
  for (const n of [1, 2]) {
    database.addAccount(`a${n}`)
    database.sqlite.exec(
      `INSERT INTO "Session" ("id", "tag", "accountId", "metadata", "lastActiveAt", "createdAt", "updatedAt")
       VALUES ('s${n}', 't', 'a${n}', 'sealed', 5, 5, 5);
       INSERT INTO "Machine" ("id", "accountId", "metadata", "active", "lastActiveAt", "createdAt", "updatedAt")
       VALUES ('m${n}', 'a${n}', 'sealed', 0, 5, 5, 5)`
    )
  }
})

/** An event that is not kept. */
const Echo = Layer.effectDiscard(
  Effect.flatMap(EventRegistry, (events) =>
    events.on({
      event: "echo",
      payload: Schema.Unknown,
      refusal: (reason) => reason,
      answer: () => Effect.succeed("done")
    })
  )
)

describe("handshake", () => {
  const refusals: ReadonlyArray<readonly [string, Record<string, unknown>, string]> = [
    ["no token", {}, "Missing authentication token"],
    ["a token that is no text", { token: { a: 1 } }, "Missing authentication token"],
    ["a wrong token", { token: "junk" }, "Invalid authentication token"],
    [
      "an agent without a session",
      { token: tokenOf("a1"), clientType: "session-scoped" },
      "Session ID required for session-scoped clients"
    ],
    [
      "a daemon without a machine",
      { token: tokenOf("a1"), clientType: "machine-scoped", machineId: 7 },
      "Machine ID required for machine-scoped clients"
    ],
    ["the session of another account", agent("a1", "s2"), "Invalid authentication token"],
    ["a session that does not exist", agent("a1", "s9"), "Invalid authentication token"],
    ["the machine of another account", daemon("a1", "m2"), "Invalid authentication token"],
    ["an endless id", daemon("a1", "m".repeat(129)), "Invalid authentication token"]
  ]
  for (const [what, auth, message] of refusals) {
    it.scoped(`accepts ${what}, gives the reason, and disconnects for good`, () =>
      Effect.gen(function* () {
        yield* twoAccounts
        const probe = yield* PresenceProbe
        const server = yield* TestServer
        const client = yield* server.client(auth)
        client.socket.connect()
        yield* client.next("connect")
        assert.deepStrictEqual(yield* client.next("error"), { message })
        assert.strictEqual(yield* client.next("disconnect"), "io server disconnect")
        assert.isFalse(client.socket.active)
        assert.deepStrictEqual(probe.calls, [])
      }).pipe(Effect.provide(layerWith()))
    )
  }

  it.scoped("treats a client without a type, and one of an unknown type, as an app", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const server = yield* TestServer
      const emitter = yield* Emitter
      for (const auth of [{ token: tokenOf("a1") }, { token: tokenOf("a1"), clientType: "spy-scoped" }]) {
        const client = yield* server.connect(auth)
        emitter.update(Room.toApps("a1"), { seq: 1, body: { t: "test" } })
        yield* client.next("update")
      }
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("closes the transport while the database cannot be read, so that the client comes back", () =>
    Effect.gen(function* () {
      const database = yield* twoAccounts
      const server = yield* TestServer
      const client = yield* server.client(daemon("a1", "m1"))
      database.nextReadFailure = new ReadFailed({ code: "SQLITE_BUSY", detail: "test" })
      client.socket.connect()
      assert.strictEqual(yield* client.next("transport"), "transport close")
      yield* client.next("connect")
      assert.deepStrictEqual(yield* client.rest("error"), [])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("closes the transport of one socket too many, which gets in later", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const server = yield* TestServer
      const first = yield* server.connect(app("a1"))
      const second = yield* server.client(app("a1"))
      second.socket.connect()
      assert.strictEqual(yield* second.next("transport"), "transport close")
      first.socket.disconnect()
      yield* second.next("connect")
    }).pipe(Effect.provide(layerWith({ socketLimit: 1 })))
  )

  it.scoped("closes the transport of one socket too many of an account, and of no other account", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const server = yield* TestServer
      yield* server.connect(app("a1"))
      const second = yield* server.client(app("a1"))
      second.socket.connect()
      assert.strictEqual(yield* second.next("transport"), "transport close")
      yield* server.connect(app("a2"))
    }).pipe(Effect.provide(layerWith({ accountSocketLimit: 1 })))
  )

  it.scoped("never exceeds the limit of an account by concurrent handshakes", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const { io } = yield* SocketServer
      const server = yield* TestServer
      const before = yield* valueOf("websocket_refusals_total", { key: "reason", value: "account-overload" })
      const clients = yield* Effect.forEach(Array.from({ length: 8 }), () =>
        server.client(daemon("a1", "m1"), { reconnection: false })
      )
      for (const { socket } of clients) socket.connect()
      const outcomes = yield* Effect.forEach(
        clients,
        (client) =>
          Effect.raceFirst(
            Effect.as(client.next("connect"), "in"),
            Effect.as(Effect.orDie(client.next("transport")), "out")
          ),
        { concurrency: "unbounded" }
      )
      assert.sameMembers(outcomes, ["in", "in", ...Array.from({ length: 6 }, () => "out")])
      assert.strictEqual(io.sockets.sockets.size, 2)
      const refused = yield* valueOf("websocket_refusals_total", { key: "reason", value: "account-overload" })
      assert.strictEqual(refused - before, 6)
    }).pipe(Effect.provide(layerWith({ accountSocketLimit: 2 })))
  )

  it.scoped("opens no transport beyond the pace, and answers why and when to come back", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const { io } = yield* SocketServer
      const server = yield* TestServer
      const open = () => fetch(`${server.url}/v1/updates/?EIO=4&transport=polling`)
      const answers = yield* Effect.promise(() => Promise.all([open(), open(), open()]))
      const refused = answers.find(({ ok }) => !ok)
      assert.deepStrictEqual(answers.map(({ status }) => status).toSorted(), [200, 200, 503])
      assert.strictEqual(io.engine.clientsCount, 2)
      const { retryAfterMs, ...body } = yield* Effect.promise(async () => Object(await refused?.json()))
      assert.deepStrictEqual(body, {
        error: "Too many sockets connect at once",
        code: "SocketOverflow",
        retryable: true
      })
      assert.strictEqual(refused?.headers.get("retry-after"), String(retryAfterMs / 1000))
    }).pipe(Effect.provide(layerWith({ handshakeLimit: 1, handshakeQueueLimit: 1, handshakesPerSecond: 1 })))
  )

  it.scoped("closes the transport with the socket that used it", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const server = yield* TestServer
      const client = yield* server.connect(app("a1"))
      // Leaves the namespace and keeps the transport.
      client.socket.io.engine.write("1")
      yield* client.next("transport")
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("closes a transport that asks for two connections at once", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const { io } = yield* SocketServer
      const server = yield* TestServer
      const client = yield* server.client({ token: tokenOf("a1") }, { reconnection: false })
      client.socket.io.once("open", () => client.socket.io.engine.write(`0{"token":"${tokenOf("a1")}"}`))
      client.socket.connect()
      yield* client.next("transport")
      assert.strictEqual(io.sockets.sockets.size, 0)
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("serves clients that poll", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const server = yield* TestServer
      const client = yield* server.client(app("a1"), { transports: ["polling"] })
      client.socket.connect()
      yield* client.next("connect")
      yield* client.flush
      const refused = yield* server.client({ token: "junk" }, { transports: ["polling"] })
      refused.socket.connect()
      assert.deepStrictEqual(yield* refused.next("error"), { message: "Invalid authentication token" })
      assert.strictEqual(yield* refused.next("disconnect"), "io server disconnect")
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("receives events that follow the handshake at once", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const server = yield* TestServer
      const client = yield* server.client(app("a1"))
      client.socket.connect()
      // Buffered by the client, sent as soon as it is connected.
      for (let index = 0; index < 5; index++) {
        client.emit("session-alive", { sid: "s1", time: Date.now(), thinking: index % 2 === 1 })
      }
      for (let index = 0; index < 5; index++) yield* client.next("ephemeral")
    }).pipe(Effect.provide(layerWith()))
  )
})

describe("rooms", () => {
  it.scoped("reach exactly the account, its apps, the session and the machine they name", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const { io } = yield* SocketServer
      const server = yield* TestServer
      const clients = {
        app: yield* server.connect(app("a1")),
        agent: yield* server.connect(agent("a1", "s1")),
        daemon: yield* server.connect(daemon("a1", "m1")),
        foreign: yield* server.connect(app("a2"))
      }
      const namesOf = (room: string) => {
        const ids = io.of("/").adapter.rooms.get(room) ?? new Set()
        return Object.entries(clients).flatMap(([name, { socket }]) => (ids.has(String(socket.id)) ? [name] : []))
      }
      assert.deepStrictEqual(namesOf("user:a1"), ["app", "agent", "daemon"])
      assert.deepStrictEqual(namesOf("user-scoped:a1"), ["app"])
      assert.deepStrictEqual(namesOf("session:s1"), ["agent"])
      assert.deepStrictEqual(namesOf("session:s1:a1"), ["agent"])
      assert.deepStrictEqual(namesOf("machine:m1:a1"), ["daemon"])
      assert.deepStrictEqual(namesOf("user:a2"), ["foreign"])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("carry an update to each recipient once, and not to the sender when it is left out", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const server = yield* TestServer
      const emitter = yield* Emitter
      const watching = yield* server.connect(app("a1"))
      const speaking = yield* server.connect(agent("a1", "s1"))
      const bystander = yield* server.connect(daemon("a1", "m1"))
      emitter.update(Room.toSession("a1", "s1"), { seq: 3, body: { t: "test" } })
      emitter.update(
        Room.toSession("a1", "s1"),
        { seq: 4, body: { t: "test" } },
        { exceptSocket: String(speaking.socket.id) }
      )
      const seqs = (updates: ReadonlyArray<unknown>) =>
        updates.map((update) => (update as { readonly seq: number }).seq)
      assert.deepStrictEqual(seqs(yield* watching.rest("update")), [3, 4])
      assert.deepStrictEqual(seqs(yield* speaking.rest("update")), [3])
      assert.deepStrictEqual(yield* bystander.rest("update"), [])
    }).pipe(Effect.provide(layerWith()))
  )
})

describe("presence of connections", () => {
  it.scoped("announces a machine that connects, and leaves its disconnect to presence", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const probe = yield* PresenceProbe
      const server = yield* TestServer
      const watching = yield* server.connect(app("a1"))
      const foreign = yield* server.connect(app("a2"))
      const before = Date.now()
      const client = yield* server.connect(daemon("a1", "m1"))
      const { activeAt, ...activity } = (yield* watching.next("ephemeral")) as { readonly activeAt: number }
      assert.deepStrictEqual(activity, { type: "machine-activity", id: "m1", active: true })
      assert.isAtLeast(activeAt, before)
      client.socket.disconnect()
      assert.strictEqual(yield* Effect.promise(() => probe.nextDisconnect), "machine m1")
      assert.deepStrictEqual(yield* watching.rest("ephemeral"), [])
      assert.deepStrictEqual(yield* foreign.rest("ephemeral"), [])
      assert.deepStrictEqual(probe.calls, ["connected machine m1", "disconnected machine m1"])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("counts connections of sessions too, and none of apps", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const probe = yield* PresenceProbe
      const server = yield* TestServer
      const watching = yield* server.connect(app("a1"))
      const client = yield* server.connect(agent("a1", "s1"))
      client.socket.disconnect()
      yield* Effect.promise(() => probe.nextDisconnect)
      watching.socket.disconnect()
      assert.deepStrictEqual(probe.calls, ["connected session s1", "disconnected session s1"])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("announces a row that went offline to apps, and a row that ended only once", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const probe = yield* PresenceProbe
      const server = yield* TestServer
      const watching = yield* server.connect(app("a1"))
      const foreign = yield* server.connect(app("a2"))
      const machine = PresenceKey.machine("a1", "m1")
      const session = PresenceKey.session("a1", "s1")
      probe.transition({ key: session, lastSeenMillis: 4, reason: "ended" })
      probe.transition({ key: machine, lastSeenMillis: 5, reason: "disconnected" })
      probe.transition({ key: session, lastSeenMillis: 6, reason: "silent" })
      assert.deepStrictEqual(yield* watching.rest("ephemeral"), [
        { type: "machine-activity", id: "m1", active: false, activeAt: 5 },
        { type: "activity", id: "s1", active: false, activeAt: 6, thinking: false }
      ])
      assert.deepStrictEqual(yield* foreign.rest("ephemeral"), [])
    }).pipe(Effect.provide(layerWith()))
  )
})

describe("limits", () => {
  it.scoped("answers ping with an empty object", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const client = yield* (yield* TestServer).connect(app("a1"))
      assert.deepStrictEqual(yield* client.ask("ping"), {})
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("lives on after malformed packets, unknown events and an event named error", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const server = yield* TestServer
      const witness = yield* server.connect(app("a1"))
      for (const packet of [
        "2",
        "2[]",
        "2[",
        "9",
        '51-["x",{"_placeholder":true,"num":0}]',
        '2["error",{}]',
        "0/other,"
      ]) {
        const attacker = yield* server.connect(app("a1"))
        attacker.emit("error", "boo")
        attacker.emit("constructor", {})
        attacker.emit("no-such-event", Buffer.from("bytes"))
        attacker.socket.io.engine.write(packet)
        attacker.socket.volatile.emit("machine-alive", { machineId: { toString: 1 }, time: Number.NaN })
        yield* witness.flush
      }
      yield* witness.flush
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("closes a socket whose message is larger than allowed, and no other", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const server = yield* TestServer
      const witness = yield* server.connect(app("a1"))
      const client = yield* server.connect(app("a1"))
      const before = yield* valueOf("websocket_refusals_total", { key: "reason", value: "too-large" })
      client.emit("usage-report", { key: "k".repeat(20_001) })
      assert.strictEqual(yield* client.next("disconnect"), "transport close")
      assert.strictEqual(yield* valueOf("websocket_refusals_total", { key: "reason", value: "too-large" }), before + 1)
      yield* witness.flush
    }).pipe(Effect.provide(layerWith({ payloadBytesMax: 10_000, transportBytesMax: 1 })))
  )

  it.scoped("answers an event that is larger than allowed, and keeps the connection", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const server = yield* TestServer
      const client = yield* server.connect(daemon("a1", "m1"))
      const large = "x".repeat(10_001)
      assert.deepStrictEqual(
        yield* client.ask("machine-update-state", { machineId: "m1", daemonState: large, expectedVersion: 0 }),
        { result: "error", message: "Parameters are too large" }
      )
      assert.deepStrictEqual(yield* client.ask("message", { sid: "s1", message: large }), {
        ok: false,
        error: "invalid-params"
      })
      assert.deepStrictEqual(yield* client.ask("update-state", { sid: "s1", agentState: large, expectedVersion: 0 }), {
        result: "error"
      })
      yield* client.flush
    }).pipe(Effect.provide(layerWith({ payloadBytesMax: 10_000 })))
  )

  it.scoped("closes a socket that floods the server, accepts it again, and closes no other", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const server = yield* TestServer
      const witness = yield* server.connect(app("a1"))
      const client = yield* server.connect(app("a1"))
      const before = yield* valueOf("websocket_refusals_total", { key: "reason", value: "flooding" })
      for (let index = 0; index < 50; index++) client.emit("no-such-event", index)
      assert.strictEqual(yield* client.next("disconnect"), "transport close")
      assert.strictEqual(yield* valueOf("websocket_refusals_total", { key: "reason", value: "flooding" }), before + 1)
      yield* client.next("connect")
      yield* client.flush
      yield* witness.flush
    }).pipe(Effect.provide(layerWith({ eventBurst: 10, eventsPerSecond: 1 })))
  )

  it.scoped("refuses events of an account's sockets beyond its budget, and closes none", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const server = yield* TestServer
      const [one, two] = [yield* server.connect(daemon("a1", "m1")), yield* server.connect(daemon("a1", "m1"))]
      const other = yield* server.connect(daemon("a2", "m2"))
      const ask = (client: typeof one) => client.ask("echo", 1)
      assert.strictEqual(yield* ask(one), "done")
      assert.strictEqual(yield* ask(two), "limited")
      assert.strictEqual(yield* ask(one), "limited")
      assert.strictEqual(yield* ask(other), "done")
      assert.isTrue(one.socket.connected && two.socket.connected)
    }).pipe(Effect.provide(layerWith({ accountEventBurst: 3, accountEventsPerSecond: 0.001 }, Echo)))
  )

  it.scoped("lets a socket that reads too slowly miss repeats, and then closes its transport", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const { io } = yield* SocketServer
      const emitter = yield* Emitter
      const server = yield* TestServer
      const healthy = yield* server.connect(app("a1"))
      const slow = yield* server.connect(app("a1"))
      const conn = io.sockets.sockets.get(String(slow.socket.id))?.conn
      assert(conn !== undefined)
      // Like an operating system whose buffer is full: nothing more is accepted.
      Object.defineProperty(conn.transport, "writable", { get: () => false, set: () => {} })

      const repeat = () =>
        emitter.repeated(Room.toApps("a1"), { type: "machine-activity", id: "m1", active: true, activeAt: 1 })
      const isLagging = () => io.of("/").adapter.rooms.get(Room.lagging)?.has(String(slow.socket.id)) === true
      emitter.update(Room.toApps("a1"), { seq: 1, body: { t: "test", text: "x".repeat(1000) } })
      assert.isFalse(isLagging())
      yield* healthy.flush
      emitter.update(Room.toApps("a1"), { seq: 2, body: { t: "test", text: "x".repeat(1000) } })
      assert.isTrue(isLagging())
      const waiting = () => (conn as unknown as { readonly writeBuffer: ReadonlyArray<unknown> }).writeBuffer.length
      const before = waiting()
      repeat()
      assert.strictEqual(waiting(), before)
      yield* healthy.flush

      emitter.update(Room.toApps("a1"), { seq: 3, body: { t: "test", text: "x".repeat(3000) } })
      yield* slow.next("transport")
      assert.strictEqual((yield* healthy.rest("update")).length, 3)
      assert.strictEqual((yield* healthy.rest("ephemeral")).length, 1)
      yield* slow.next("connect")
    }).pipe(Effect.provide(layerWith({ outgoingBytesLagging: 2000, outgoingBytesMax: 4000 })))
  )

  it.scoped("sends repeats again to a socket that has caught up", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const emitter = yield* Emitter
      const server = yield* TestServer
      const client = yield* server.connect(app("a1"))
      // Two packets in one turn: the second waits until the first is on its way.
      emitter.update(Room.toApps("a1"), { seq: 1, body: { t: "test" } })
      emitter.update(Room.toApps("a1"), { seq: 2, body: { t: "test", text: "x".repeat(3000) } })
      assert.strictEqual((yield* client.rest("update")).length, 2)
      emitter.repeated(Room.toApps("a1"), { type: "machine-activity", id: "m1", active: true, activeAt: 1 })
      assert.strictEqual((yield* client.rest("ephemeral")).length, 1)
    }).pipe(Effect.provide(layerWith({ outgoingBytesLagging: 2000, outgoingBytesMax: 4000 })))
  )
})

describe("handlers", () => {
  const Stuck = (gate: Deferred.Deferred<void>, entered: Deferred.Deferred<void>) =>
    Layer.effectDiscard(
      Effect.gen(function* () {
        const events = yield* EventRegistry
        yield* events.on({
          event: "wait",
          payload: Schema.Unknown,
          refusal: (reason) => reason,
          answer: () => Effect.zipRight(Deferred.succeed(entered, undefined), Effect.as(Deferred.await(gate), "done"))
        })
        yield* events.on({
          event: "die",
          payload: Schema.Unknown,
          refusal: (reason) => reason,
          answer: () => Effect.dieMessage("on purpose")
        })
      })
    )

  it.scoped("that die are answered with the refusal of the event, and affect nothing else", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      yield* Effect.gen(function* () {
        yield* twoAccounts
        const client = yield* (yield* TestServer).connect(app("a1"))
        assert.strictEqual(yield* client.ask("die", 1), "failed")
        yield* client.flush
      }).pipe(Effect.provide(layerWith({}, Stuck(gate, yield* Deferred.make<void>()))))
    })
  )

  it.scoped("beyond the limit of a socket are refused, and those of other sockets not", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const entered = yield* Deferred.make<void>()
      yield* Effect.gen(function* () {
        yield* twoAccounts
        const server = yield* TestServer
        const first = yield* server.connect(app("a1"))
        const second = yield* server.connect(app("a1"))
        first.emit("wait", 1)
        yield* Deferred.await(entered)
        assert.strictEqual(yield* first.ask("wait", 2), "limited")
        yield* Deferred.succeed(gate, undefined)
        assert.strictEqual(yield* second.ask("wait", 3), "done")
      }).pipe(Effect.provide(layerWith({ inFlightLimit: 1 }, Stuck(gate, entered))))
    })
  )
})

describe("shutdown", () => {
  it.scoped("closes transports, not namespaces, so that clients come back, and lets the server close", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const { fastify } = yield* HttpApp
      const server = yield* TestServer
      const client = yield* server.connect(app("a1"))
      const polling = yield* server.client(app("a1"), { transports: ["polling"] })
      polling.socket.connect()
      yield* polling.next("connect")
      yield* Effect.promise(() => fastify.close())
      assert.strictEqual(yield* client.next("disconnect"), "transport close")
      assert.isTrue(client.socket.active)
      assert.notStrictEqual(yield* polling.next("disconnect"), "io server disconnect")
    }).pipe(Effect.provide(layerWith()))
  )
})
