/**
 * Three servers with clients: an app at each of them, sessions that beat, agents that send messages and a daemon that
 * registers machines, through the balancer. Whatever happens to what the servers share, the same must hold afterwards.
 */
import { assert } from "@effect/vitest"
import { Cause, Effect, Fiber, Schedule, type Scope } from "effect"
import { randomUUID } from "node:crypto"
import * as Client from "../../src/drivers/AccountClient.ts"
import type * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as Eventually from "../../src/drivers/Eventually.ts"
import * as Replicas from "../../src/drivers/Replicas.ts"
import * as Talker from "../../src/drivers/Talker.ts"

/** Names what did not happen. Generous: a box that is busy is slow. */
export const soon = <A, E, R>(what: string, effect: Effect.Effect<A, E, R>, within = 30): Effect.Effect<A, E, R> =>
  Effect.timeoutFailCause(effect, {
    duration: `${within} seconds`,
    onTimeout: () => Cause.die(new Error(`not in time: ${what}`))
  })

export const isActivity =
  (id: string, active: boolean) =>
  ({ event, payload }: Device.Heard): boolean =>
    event === "ephemeral" && payload.id === id && payload.active === active

export const isUpdate =
  (t: string) =>
  ({ event, payload }: Device.Heard): boolean =>
    event === "update" && payload.body.t === t

export const tags = (count: number) => Array.from({ length: count }, (_, index) => `tag ${index}`)

/** A box that is busy answers 503 for a moment, and a client tries again. */
const patiently = <A, R>(effect: Effect.Effect<A, never, R>): Effect.Effect<A, never, R> =>
  effect.pipe(Effect.sandbox, Effect.retry({ times: 20, schedule: Schedule.spaced("500 millis") }), Effect.unsandbox)

export const login = (url: string, account: ReturnType<typeof Client.make>) => patiently(Device.login(url, account))

export const openSession = (device: Device.Device, tag: string) => patiently(Device.openSession(device, tag))

/** A session with an agent that beats once a second. */
export const openBeating = (device: Device.Device, tag: string) =>
  Effect.gen(function* () {
    const sid = yield* openSession(device, tag)
    const line = yield* device.connect({ clientType: "session-scoped", sessionId: sid })
    yield* Device.beating(Device.pulse(line, "session", sid), 1_000)
    return { sid, line }
  })

export const heardOffline = (app: Device.Line, ids: ReadonlyArray<string>) =>
  app.heard.filter((heard) => ids.some((id) => isActivity(id, false)(heard)))

/** What was sent, and what became of it. */
interface Sending {
  /** Ends when everything that was sent is answered. */
  readonly stop: Effect.Effect<void>
  readonly acknowledged: ReadonlySet<string>
  /** Answers that a client does not understand, by status. */
  readonly strange: ReadonlyArray<string>
  readonly talkers: ReadonlyArray<Talker.Talker>
}

/** What a client repeats later. */
const passing = new Set([429, 503])

const registerAgain = (device: Device.Device, acknowledged: Set<string>, strange: Array<string>) =>
  Effect.gen(function* () {
    const id = randomUUID()
    // As a daemon does, under the same id until it is answered.
    const once = device.post("/v1/machines", { id, metadata: "sealed" }).pipe(
      Effect.timeout("10 seconds"),
      Effect.option,
      Effect.map((answer) => {
        if (answer._tag === "None" || passing.has(answer.value.status)) return false
        if (answer.value.status === 200) acknowledged.add(id)
        else strange.push(`${answer.value.status} ${answer.value.text}`)
        return true
      })
    )
    yield* Effect.repeat(Effect.delay(once, "100 millis"), { until: (isOver) => isOver })
  })

const send = (through: Device.Device, sids: ReadonlyArray<string>): Effect.Effect<Sending, never, Scope.Scope> =>
  Effect.gen(function* () {
    const acknowledged = new Set<string>()
    const strange: Array<string> = []
    let isOver = false
    const again = <A, R>(effect: Effect.Effect<A, never, R>) =>
      Effect.forkScoped(Effect.repeat(Effect.delay(effect, "100 millis"), { until: () => isOver }))
    const lines = yield* Effect.forEach(sids, (sid) =>
      through.connect({ clientType: "session-scoped", sessionId: sid })
    )
    const talkers = lines.map((line, index) => Talker.make(`agent ${index}`, line))
    const fibers = [yield* again(registerAgain(through, acknowledged, strange))]
    for (const [index, talker] of talkers.entries()) fibers.push(yield* again(talker.say(sids[index] ?? "", 2)))
    const stop = Effect.suspend(() => {
      isOver = true
      return Effect.asVoid(Effect.forEach(fibers, Fiber.join))
    })
    return { stop, acknowledged, strange, talkers }
  })

/** Answers of `/readyz` of a server, as `status code code`, each once. */
const watchReadiness = (server: BuiltServer.Server) =>
  Effect.gen(function* () {
    const seen: Array<string> = []
    yield* Device.request(`${server.url}/readyz`).pipe(
      Effect.timeout("5 seconds"),
      Effect.match({
        onSuccess: ({ body, status }) => {
          const checks = (body["checks"] ?? []) as ReadonlyArray<{ readonly code: string }>
          const codes = checks.map(({ code }) => code).filter((code) => code !== "OK")
          return [status, ...codes].join(" ")
        },
        onFailure: () => "no answer"
      }),
      Effect.tap((answer) => Effect.sync(() => void (seen.at(-1) === answer || seen.push(answer)))),
      Effect.delay("200 millis"),
      Effect.forever,
      Effect.forkScoped
    )
    return seen
  })

export interface Fleet extends Replicas.Replicas {
  readonly account: ReturnType<typeof Client.make>
  readonly through: Device.Device
  /** An app of the account at each of the servers, which is connected to that one alone. */
  readonly apps: ReadonlyArray<{ readonly device: Device.Device; readonly line: Device.Line }>
  /** Sessions that beat. */
  readonly ids: ReadonlyArray<string>
  readonly sending: Sending
  /** What each of the servers said about its readiness, in order. */
  readonly readiness: ReadonlyArray<ReadonlyArray<string>>
  readonly output: () => string
}

/** Everything is connected, and shown online at every server. */
export const start = (options: Omit<Replicas.Options, "count">): Effect.Effect<Fleet, never, Scope.Scope> =>
  Effect.gen(function* () {
    const replicas = yield* Replicas.start({ count: 3, ...options })
    const account = Client.make()
    const through = yield* login(replicas.balancer.url, account)
    const apps = yield* Effect.forEach(replicas.servers, (server) =>
      Effect.gen(function* () {
        const device = yield* login(server.url, account)
        return { device, line: yield* device.connect({ clientType: "user-scoped" }) }
      })
    )
    const beating = yield* Effect.forEach(tags(6), (tag) => openBeating(through, tag))
    const ids = beating.map(({ sid }) => sid)
    for (const { line } of apps) {
      for (const id of ids) yield* soon(`${id} is shown online`, line.until(isActivity(id, true)))
    }
    const spoken = yield* Effect.forEach(tags(3), (tag) => openSession(through, `spoken ${tag}`))
    const sending = yield* send(through, spoken)
    const readiness = yield* Effect.forEach(replicas.servers, watchReadiness)
    const output = () => replicas.servers.map((server) => server.output()).join("\n---\n")
    return { ...replicas, account, through, apps, ids, sending, readiness, output }
  })

const missingOf = <A>(wanted: Iterable<A>, found: Iterable<unknown>) => {
  const known = new Set(found)
  return [...wanted].filter((item) => !known.has(item))
}

/** Everything that was acknowledged is stored, once and under the number of its answer. */
const checkStored = ({ database, output, sending }: Fleet) =>
  Effect.gen(function* () {
    const machines = yield* database.query(`SELECT "id" FROM "Machine"`)
    assert.deepStrictEqual(
      missingOf(
        sending.acknowledged,
        machines.map(({ id }) => id)
      ),
      []
    )
    assert.deepStrictEqual(sending.strange, [])
    for (const { problems, sent } of sending.talkers) {
      assert.deepStrictEqual(problems, [], output())
      const sid = sent[0]?.sid ?? ""
      const rows = yield* database.query(
        `SELECT "localId", "seq" FROM "SessionMessage" WHERE "sessionId" = ? ORDER BY "seq"`,
        sid
      )
      assert.deepStrictEqual(
        rows.map(({ seq }) => seq),
        rows.map((_, index) => index + 1),
        "numbers without a gap"
      )
      const stored = new Map(rows.map(({ localId, seq }) => [localId, seq]))
      assert.strictEqual(stored.size, rows.length, "a message is stored twice")
      for (const { answer, localId } of sent) assert.strictEqual(answer?.seq, stored.get(localId), localId)
    }
  })

const activeOf = (device: Device.Device) =>
  Effect.map(Effect.option(device.get("/v2/sessions/active")), (answer) =>
    answer._tag === "None"
      ? [answer._tag]
      : ((answer.value.body["sessions"] ?? [{ id: answer.value.text }]) as ReadonlyArray<{ readonly id: string }>).map(
          ({ id }) => id
        )
  )

/** Every app hears that every session lives, from now on, and every server lists them. */
const checkShown = ({ apps, ids }: Fleet) =>
  Effect.forEach(apps, ({ device, line }, index) =>
    Effect.gen(function* () {
      const from = line.heard.length
      for (const id of ids) {
        yield* soon(`app ${index} hears that ${id} lives`, line.until(isActivity(id, true), from), 60)
      }
      yield* Eventually.until(activeOf(device), (active) => missingOf(ids, active).length === 0, "60 seconds")
    })
  )

/** Calls a method of one server through another one. */
export const checkCalls = ({ account, servers }: Fleet) =>
  Effect.scoped(
    Effect.gen(function* () {
      const [one, , other] = servers as [BuiltServer.Server, BuiltServer.Server, BuiltServer.Server]
      const daemon = yield* login(one.url, account)
      const sid = yield* openSession(daemon, randomUUID())
      const agent = yield* daemon.connect({ clientType: "session-scoped", sessionId: sid })
      agent.socket.on("rpc-request", (asked: { readonly params: string }, answer: (result: string) => void) =>
        answer(`heard ${asked.params}`)
      )
      agent.socket.emit("rpc-register", { method: `${sid}:echo` })
      yield* soon(
        "registration of a method",
        agent.until(({ event }) => event === "rpc-registered")
      )
      const app = yield* (yield* login(other.url, account)).connect({ clientType: "user-scoped" })
      const answer = yield* soon("a call", app.ask("rpc-call", { method: `${sid}:echo`, params: "this" }))
      assert.deepInclude(answer, { ok: true, result: "heard this" })
    })
  )

/** The messages that an app of each server received live, and those that a client that comes back reads. */
const checkReceived = ({ apps, sending }: Fleet) =>
  Effect.forEach(apps, ({ device, line }) =>
    Effect.gen(function* () {
      const isWhole = !line.heard.some(({ event }) => event === "disconnect")
      for (const { sent } of sending.talkers) {
        const localIds = sent.map(({ localId }) => localId)
        const received = () =>
          line.heard.filter(isUpdate("new-message")).map(({ payload }) => payload.body.message.localId)
        // One that was disconnected reads what it has missed, as clients do.
        if (isWhole)
          yield* Eventually.until(
            Effect.sync(() => missingOf(localIds, received())),
            (missing) => missing.length === 0,
            "60 seconds"
          )
        const [last] = sent.slice(-1)
        const answer = yield* Effect.orDie(device.get(`/v1/sessions/${last?.sid}/messages`))
        const newest = (answer.body["messages"] as ReadonlyArray<{ readonly localId: string }>).map(
          ({ localId }) => localId
        )
        assert.include(newest, last?.localId, answer.text)
      }
      const changes = yield* Effect.orDie(device.get("/v2/changes?after=0"))
      assert.strictEqual(changes.status, 200, changes.text)
    })
  )

/** What holds in the end, whatever happened. Ends the sending. */
export const check = (fleet: Fleet) =>
  Effect.gen(function* () {
    const { apps, ids, output, sending } = fleet
    const before = sending.acknowledged.size
    yield* Eventually.until(
      Effect.sync(() => sending.acknowledged.size),
      (size) => size > before + 3,
      "60 seconds"
    )
    yield* soon("everything that was sent is answered", sending.stop, 90)
    yield* checkStored(fleet)
    yield* checkShown(fleet)
    for (const { line } of apps) assert.deepStrictEqual(heardOffline(line, ids), [], output())
    yield* checkReceived(fleet)
    yield* checkCalls(fleet)
    for (const server of fleet.servers) {
      assert.strictEqual((yield* Effect.orDie(Device.request(`${server.url}/readyz`))).status, 200, server.output())
    }
  })
