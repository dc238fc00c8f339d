/**
 * Goal: an account cannot read, change or receive anything of another one, by
 * any route, event or handshake, including those that are added later. Method:
 * two accounts on the built server. One tries every route and event of the
 * contract with the ids of the other; then the other does everything that is
 * announced. The rows and the sockets of both are compared. The contract is
 * what the server registers: `contract/Coverage.test.ts`.
 */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { randomUUID } from "node:crypto"
import * as Client from "../../src/drivers/AccountClient.ts"
import { events, type EventTerms, routes, type RouteTerms } from "../../src/contract/Contract.ts"
import * as Shapes from "../../src/contract/Shapes.ts"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as AccountFixture from "./AccountFixture.ts"
import * as Snapshot from "./Snapshot.ts"
import * as ForeignAccess from "./ForeignAccess.ts"

const said = ({ heard }: Device.Line) =>
  heard.filter(({ event }) => event === "update" || event === "ephemeral" || event.startsWith("rpc-"))

const nameOf = ({ event, payload }: Device.Heard): string => {
  if (event === "update") return `update ${payload.body.t}`
  return event === "ephemeral" ? `ephemeral ${payload.type}` : event
}

const settled = ({ lines }: AccountFixture.AccountFixture) =>
  Effect.forEach(Object.values(lines), (line) => line.settled)

const send = (
  url: string,
  route: string,
  { body, params, query }: ForeignAccess.Request,
  token: string | undefined
) => {
  const [method = "", path = ""] = route.split(" ")
  const search = query === undefined ? "" : `?${new URLSearchParams(query).toString()}`
  return Effect.orDie(
    Device.request(
      `${url}${path.replace(/:(\w+)/g, (_, name: string) => encodeURIComponent(params?.[name] ?? ""))}${search}`,
      {
        method,
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { "content-type": "application/json" })
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) })
      }
    )
  )
}

/** Checks that nothing in an answer or a message is of the victim, except the requested id. */
const assertSilentAbout = (victim: AccountFixture.AccountFixture, text: string, what: string, asked = "") => {
  for (const mark of victim.marks) {
    if (!asked.includes(mark)) assert.notInclude(text, mark, what)
  }
}

/** The rows of an account before and after; the feed and the cursor belong to it too. */
const unchangedBy = <A, E, R>(
  victim: AccountFixture.AccountFixture,
  server: BuiltServer.Server,
  action: Effect.Effect<A, E, R>
) =>
  Effect.gen(function* () {
    yield* AccountFixture.flushed(server, victim)
    const before = Snapshot.about(Snapshot.take(server), victim.marks)
    assert.isAbove(before.length, 8)
    yield* action
    assert.deepStrictEqual(Snapshot.about(Snapshot.take(server), victim.marks), before)
  })

const tryRoutes = (victim: AccountFixture.AccountFixture, intruder: AccountFixture.AccountFixture) =>
  Effect.forEach(Object.entries(ForeignAccess.requests), ([route, attempts]) =>
    Effect.gen(function* () {
      // An account that revokes its own tokens cannot try anything else.
      const isEnd = route === "POST /v1/auth/revoke"
      const terms = (routes as { readonly [route: string]: RouteTerms })[route]
      const device = isEnd ? yield* Device.login(intruder.device.url, Client.make()) : intruder.device
      for (const request of attempts(victim)) {
        const token = terms?.for === "account" ? device.token : undefined
        const answer = yield* send(device.url, route, request, token)
        const what = `${route} ${JSON.stringify(request)} -> ${answer.status} ${answer.text}`
        assert.strictEqual(answer.status, request.status, what)
        if (request.error !== undefined) assert.strictEqual(answer.body["error"], request.error, what)
        // Keys are names that every account chooses: a refusal repeats the one that was sent.
        assertSilentAbout(victim, answer.text, what, route === "POST /v1/kv" ? JSON.stringify(request.body) : "")
      }
    })
  )

const tryEvents = (victim: AccountFixture.AccountFixture, lines: ReadonlyArray<Device.Line>) =>
  Effect.forEach(lines, (line) =>
    Effect.forEach(Object.entries(ForeignAccess.eventAttempts), ([event, eventAttempts]) =>
      Effect.gen(function* () {
        const terms = (events as { readonly [event: string]: EventTerms })[event]
        for (const { ack, payload } of eventAttempts(victim)) {
          if (ack === undefined) {
            assert.deepStrictEqual(terms?.acks, {}, `${event} has an ack, so that it can be compared`)
            line.socket.emit(event, payload)
          } else {
            const what = `${event} ${JSON.stringify(payload)}`
            assert.deepStrictEqual(yield* line.ask(event, payload), ack, what)
          }
        }
        yield* line.settled
      })
    )
  )

/** Everything that is announced, done by the owner. */
const liveADay = (owner: AccountFixture.AccountFixture) =>
  Effect.gen(function* () {
    const { device, lines, machineId, method, sid } = owner
    const post = (path: string, payload: object) => Effect.orDie(device.post(path, payload))
    const other = yield* Device.openSession(device, randomUUID())
    yield* post("/v1/machines", { id: randomUUID(), metadata: "m" })
    yield* post("/v1/account/settings", { settings: "s", expectedVersion: 1 })
    const artifactId = randomUUID()
    yield* post("/v1/artifacts", { id: artifactId, header: "", body: "", dataEncryptionKey: "" })
    yield* post(`/v1/artifacts/${artifactId}`, { header: "", expectedHeaderVersion: 1 })
    yield* lines.app.ask("artifact-delete", { artifactId })
    yield* post("/v1/kv", { mutations: [{ key: "k", value: "dg==", version: -1 }] })
    yield* lines.app.ask("message", { sid, message: "hello", echoToSender: true })
    yield* lines.agent.ask("update-metadata", { sid, metadata: "n", expectedVersion: 0 })
    yield* lines.agent.ask("update-state", { sid, agentState: "n", expectedVersion: 0 })
    yield* lines.daemon.ask("machine-update-metadata", { machineId, metadata: "n", expectedVersion: 1 })
    yield* lines.daemon.ask("machine-update-state", { machineId, daemonState: "n", expectedVersion: 1 })
    yield* lines.agent.ask("usage-report", { key: "k", sessionId: sid, tokens: { total: 1 }, cost: { total: 1 } })
    assert.strictEqual((yield* lines.app.ask("rpc-call", { method, params: 1 })).ok, true)
    lines.agent.socket.emit("session-alive", { sid, time: Date.now(), thinking: true })
    lines.daemon.socket.emit("machine-alive", { machineId, time: Date.now() })
    lines.daemon.socket.emit("rpc-register", { method: `${machineId}:x` })
    lines.daemon.socket.emit("rpc-unregister", { method: `${machineId}:x` })
    lines.daemon.socket.emit("rpc-register", 7)
    lines.agent.socket.emit("session-end", { sid, time: Date.now() })
    yield* settled(owner)
    yield* send(device.url, "DELETE /v1/sessions/:id", { params: { id: other }, status: 200 }, device.token)
    yield* settled(owner)
  })

layer(BuiltServer.layer(AccountFixture.environment), { excludeTestServices: true, timeout: "60 seconds" })(
  "isolation",
  (it) => {
    it("has an attempt for every route and every event of the contract", () => {
      assert.sameMembers(Object.keys(ForeignAccess.requests), Object.keys(routes))
      assert.sameMembers(Object.keys(ForeignAccess.eventAttempts), Object.keys(events))
    })

    it.scoped(
      "another account's ids open no route, and change and show nothing",
      () =>
        Effect.gen(function* () {
          const server = yield* BuiltServer.BuiltServer
          const victim = yield* AccountFixture.make(server.url)
          const intruder = yield* AccountFixture.make(server.url)
          yield* settled(victim)
          const heard = said(victim.lines.app).length
          yield* unchangedBy(victim, server, tryRoutes(victim, intruder))
          yield* settled(victim)
          // The one that it caused itself: the session of the witness.
          const names = said(victim.lines.app).slice(heard).map(nameOf)
          assert.deepStrictEqual(names, ["update new-session", "ephemeral activity"])
        }),
      60_000
    )

    it.scoped(
      "another account's ids open no event, whatever the scope of the socket, and change and announce nothing",
      () =>
        Effect.gen(function* () {
          const server = yield* BuiltServer.BuiltServer
          const victim = yield* AccountFixture.make(server.url)
          const intruder = yield* AccountFixture.make(server.url)
          yield* settled(victim)
          const marks = Object.values(victim.lines).map((line) => said(line).length)
          const attempt = Effect.zipRight(
            tryEvents(victim, Object.values(intruder.lines)),
            // Its events about rows of others would be in the file by now.
            AccountFixture.flushed(server, intruder)
          )
          yield* unchangedBy(victim, server, attempt)
          yield* settled(victim)
          const [app, agent, daemon] = Object.values(victim.lines).map((line, index) => said(line).slice(marks[index]))
          assert.deepStrictEqual(app?.map(nameOf), ["update new-session", "ephemeral activity"])
          assert.deepStrictEqual([agent, daemon], [[], []])
          for (const line of Object.values(intruder.lines)) {
            // It receives methods with these names: they are its own.
            for (const { event, payload } of said(line)) {
              const isOwnMethod = event === "rpc-registered" || event === "rpc-unregistered"
              assertSilentAbout(victim, JSON.stringify(payload), event, isOwnMethod ? payload.method : "")
            }
          }
          const result = yield* victim.lines.app.ask("rpc-call", { method: victim.method, params: 1 })
          assert.deepStrictEqual(result, { ok: true, result: victim.marks[0] })
        }),
      60_000
    )

    it.scoped("another account's ids open no socket", () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.BuiltServer
        const victim = yield* AccountFixture.make(server.url)
        const { token } = yield* Device.login(server.url, Client.make())
        yield* unchangedBy(
          victim,
          server,
          Effect.forEach(
            [
              { clientType: "session-scoped", sessionId: victim.sid },
              { clientType: "machine-scoped", machineId: victim.machineId }
            ],
            (handshake) =>
              Effect.gen(function* () {
                const line = yield* Device.dial(server.url, { token, ...handshake })
                const { payload } = yield* line.until(({ event }) => event === "error")
                assert.deepStrictEqual(payload, { message: "Invalid authentication token" })
                yield* line.until(({ event }) => event === "disconnect")
                assert.deepStrictEqual(said(line), [])
              })
          )
        )
      })
    )

    it.scoped(
      "no announcement to an account reaches another one",
      () =>
        Effect.gen(function* () {
          const server = yield* BuiltServer.BuiltServer
          const owner = yield* AccountFixture.make(server.url)
          const neighbour = yield* AccountFixture.make(server.url)
          yield* settled(neighbour)
          const marks = Object.values(neighbour.lines).map((line) => said(line).length)
          yield* liveADay(owner)
          yield* settled(neighbour)
          const heard = Object.values(neighbour.lines).map((line, index) => said(line).slice(marks[index]))
          assert.deepStrictEqual(heard, [[], [], []])

          // A missing message proves nothing unless it was sent.
          const spoken = new Set(Object.values(owner.lines).flatMap((line) => said(line).map(nameOf)))
          const known = [
            ...Object.keys(Shapes.updates).map((t) => `update ${t}`),
            ...Object.keys(Shapes.ephemerals).map((type) => `ephemeral ${type}`),
            ...Object.keys(Shapes.others).filter((name) => name !== "error")
          ]
          assert.sameMembers([...spoken], known)
        }),
      60_000
    )
  }
)
