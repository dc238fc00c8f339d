/**
 * Goal: three servers go on while their Redis is away, frozen or empty, and find each other again.
 * Method: a Redis of the test alone, killed and started again empty, or stopped, under load.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { inject } from "vitest"
import type * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as Eventually from "../../src/drivers/Eventually.ts"
import * as OwnRedis from "../../src/drivers/OwnRedis.ts"
import * as Scrape from "../../src/drivers/Scrape.ts"
import * as Size from "../../src/drivers/Size.ts"
import * as TimeLimit from "../../src/drivers/TimeLimit.ts"
import * as Fleet from "./Fleet.ts"

const postgresUrl = inject("postgresUrl")

const isPossible = postgresUrl !== undefined && OwnRedis.isInstalled()

const stand = Effect.gen(function* () {
  const redis = yield* OwnRedis.make()
  const fleet = yield* Fleet.start({ postgresUrl: postgresUrl ?? "", redisUrl: redis.url })
  yield* Effect.sleep("2 seconds")
  return { redis, fleet }
})

/** A method of a session that is connected to the first server and does not answer, and an app at the last one. */
const openCall = ({ account, servers }: Fleet.Fleet) =>
  Effect.gen(function* () {
    const [one, , other] = servers as [BuiltServer.Server, BuiltServer.Server, BuiltServer.Server]
    const daemon = yield* Fleet.login(one.url, account)
    const sid = yield* Fleet.openSession(daemon, "called")
    const agent = yield* daemon.connect({ clientType: "session-scoped", sessionId: sid })
    const method = `${sid}:silent`
    agent.socket.emit("rpc-register", { method })
    yield* Fleet.soon(
      "registration of a method",
      agent.until(({ event }) => event === "rpc-registered")
    )
    const app = yield* (yield* Fleet.login(other.url, account)).connect({ clientType: "user-scoped" })
    const isAsked = agent.until(({ event }) => event === "rpc-request")
    return { isAsked, call: app.ask("rpc-call", { method, params: "this" }) }
  })

const problemOf = (answer: Device.Answer) =>
  (answer.body["checks"] as ReadonlyArray<{ readonly name: string; readonly code: string }>).find(
    ({ name }) => name === "replicas"
  )?.code

const readiness = (server: BuiltServer.Server) => Effect.orDie(Device.request(`${server.url}/readyz`))

/** Each of them says so, and is ready all the same. */
const untilProblem = ({ servers }: Fleet.Fleet, problem: string) =>
  Effect.forEach(servers, (server) =>
    Effect.gen(function* () {
      const { answer } = yield* Eventually.until(
        readiness(server),
        (answer) => problemOf(answer) === problem,
        "30 seconds"
      )
      assert.strictEqual(answer.status, 200, answer.text)
    })
  )

const untilMetric = ({ servers }: Fleet.Fleet, name: string, isMeant: (value: number) => boolean) =>
  Effect.forEach(servers, (server) =>
    Eventually.until(
      Effect.map(Scrape.scrape(server.url), ({ value }) => value(name)),
      isMeant,
      "30 seconds"
    )
  )

/**
 * While Redis does not answer: each server serves its own clients, says so, and lets no call wait. Answers how long one
 * waited that was under way, in ms.
 */
const checkMeanwhile = (fleet: Fleet.Fleet, waiting: Effect.Effect<unknown>) =>
  Effect.gen(function* () {
    const began = performance.now()
    const answer = yield* Fleet.soon("the end of a call", waiting)
    const waitedMillis = performance.now() - began
    assert.deepInclude(answer, { ok: false })
    yield* untilProblem(fleet, "ReplicasUnreachable")
    yield* untilMetric(fleet, "replicas_link_up", (value) => value === 0)
    yield* untilMetric(fleet, "replicas_live", (value) => value === 1)
    const before = fleet.sending.acknowledged.size
    const { call } = yield* openCall(fleet)
    assert.deepInclude(yield* Fleet.soon("the refusal of a call", call), { ok: false })
    yield* Eventually.until(
      Effect.sync(() => fleet.sending.acknowledged.size),
      (size) => size > before + 3,
      "30 seconds"
    )
    return waitedMillis
  })

const checkAfterwards = (fleet: Fleet.Fleet) =>
  Effect.gen(function* () {
    yield* untilProblem(fleet, "OK")
    yield* untilMetric(fleet, "replicas_link_up", (value) => value === 1)
    yield* untilMetric(fleet, "replicas_live", (value) => value === 3)
    yield* untilMetric(fleet, "replicas_waiting_bytes", (value) => value === 0)
    yield* Fleet.check(fleet)
  })

/** A call that is under way when the outage begins ends soon, and the clients of each server notice nothing. */
const beginOutage = (fleet: Fleet.Fleet, outage: Effect.Effect<void>) =>
  Effect.gen(function* () {
    const { call, isAsked } = yield* openCall(fleet)
    const waiting = yield* Effect.fork(call)
    yield* Fleet.soon("a call of another server", isAsked)
    yield* outage
    TimeLimit.holds(
      "the end of a call to another server",
      yield* checkMeanwhile(fleet, Effect.flatten(waiting.await)),
      2_000
    )
  })

describe.skipIf(!isPossible)("three servers whose Redis", () => {
  it.scopedLive(
    "is killed and comes back empty serve their own clients meanwhile, and find each other again",
    () =>
      Effect.gen(function* () {
        const { fleet, redis } = yield* stand
        yield* beginOutage(fleet, redis.end)
        yield* redis.start
        yield* checkAfterwards(fleet)
      }),
    300_000
  )

  it.scopedLive.skipIf(Size.isQuick)(
    "stands still for 20 s and goes on do the same",
    () =>
      Effect.gen(function* () {
        const { fleet, redis } = yield* stand
        yield* beginOutage(fleet, redis.signal("SIGSTOP"))
        yield* Effect.sleep("15 seconds")
        yield* redis.signal("SIGCONT")
        yield* checkAfterwards(fleet)
      }),
    300_000
  )

  it.scopedLive.skipIf(Size.isQuick)(
    "is restarted five times in a row lose no update for good",
    () =>
      Effect.gen(function* () {
        const { fleet, redis } = yield* stand
        for (let round = 0; round < 5; round++) {
          yield* redis.end
          yield* redis.start
          yield* Effect.sleep(`${round * 400} millis`)
        }
        yield* checkAfterwards(fleet)
      }),
    300_000
  )
})
