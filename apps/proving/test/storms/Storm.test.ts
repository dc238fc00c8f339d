/**
 * Goal: many clients at once lose nothing that was acknowledged while their
 * server is killed, stopped and started again under them, and none of them has
 * to wait long. Method: agents and apps of many accounts use the built server
 * for `STORM_SECONDS` (the restarts come on top), and repeat what was not
 * answered. The file and the feeds are compared with the answers they received.
 * `STORM_SEED` repeats the moments of a run.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Fiber, Random } from "effect"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as AckLog from "../../src/drivers/AckLog.ts"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as StormCheck from "../../src/drivers/StormCheck.ts"
import * as Talker from "../../src/drivers/Talker.ts"
import * as TimeLimit from "../../src/drivers/TimeLimit.ts"

const seed = Number(process.env["STORM_SEED"] ?? Math.floor(Math.random() * 1_000_000))
const seconds = Number(process.env["STORM_SECONDS"] ?? 4)

const accountCount = 20
const sessionsEach = 10
const beatMillis = 1000
const backWithinMillis = 10_000
/** Against a hang. */
const backLimitMillis = 60_000
const shutdownLimitMillis = 10_000
const controlDeadlineMillis = 2000

/** What a busy box may add to any time that is measured from outside. */
const marginMillis = 1500

/** No client sends faster than people and their agents do; higher rates are tested elsewhere. */
const environment = {
  HAPPIER_RATE_LIMIT_AUTH: "0",
  HAPPIER_RATE_LIMIT_CONTROL: "0",
  HAPPIER_RATE_LIMIT_READS: "0",
  HAPPIER_SOCKET_EVENTS_PER_SECOND: "10000",
  HAPPIER_SOCKET_EVENT_BURST: "10000"
}

/** Hundreds that reconnect many times a second would only slow down the start they wait for. */
const patience: Device.Patience = { firstMillis: 500, lastMillis: 2000 }

const ids = (count: number) => Array.from({ length: count }, (_, index) => index)

/** An account with its sessions: an app that watches, and an agent in each session that beats. */
const openAccount = (url: string, name: string) =>
  Effect.gen(function* () {
    const keys = Client.make()
    const app = yield* Device.login(url, keys)
    const watcher = Talker.make(name, yield* app.connect({ clientType: "user-scoped" }, patience))
    const agents = yield* Effect.forEach(ids(sessionsEach), (index) =>
      Effect.gen(function* () {
        const device = yield* Device.login(url, keys)
        const sid = yield* Device.openSession(device, `tag-${index}`)
        const line = yield* device.connect({ clientType: "session-scoped", sessionId: sid }, patience)
        yield* Device.beating(Device.pulse(line, "session", sid), beatMillis)
        return { sid, talker: Talker.make(`${name}.${index}`, line) }
      })
    )
    const talkers = [watcher, ...agents.map(({ talker }) => talker)]
    return { app, watcher, talkers, agents, sids: agents.map(({ sid }) => sid) }
  })

type Account = Effect.Effect.Success<ReturnType<typeof openAccount>>

/** Sends a few messages in one of the sessions now and then, and replaces its state sometimes. */
const talking = (talker: Talker.Talker, sids: ReadonlyArray<string>, isOver: () => boolean) =>
  Effect.gen(function* () {
    yield* Effect.sleep(yield* Random.nextIntBetween(1000, 3000))
    const sid = sids[yield* Random.nextIntBetween(0, sids.length)] ?? ""
    yield* talker.say(sid, yield* Random.nextIntBetween(1, 4))
    if (yield* Random.nextBoolean) yield* talker.replace(sid)
  }).pipe(Effect.repeat({ until: isOver }))

/** Watches the server and the outcome of registrations. */
const makeDuty = () => {
  let watch = { from: performance.now(), to: Infinity }
  const watches = [watch]
  const registrations: Array<{ readonly from: number; readonly to: number; readonly said: string }> = []
  const log = AckLog.make()
  /** When the server went down that was there at a time. */
  const endOf = (atMillis: number) => watches.findLast(({ from }) => from <= atMillis)?.to ?? atMillis
  return {
    log,
    goesDown: () => (watch.to = performance.now()),
    isUp: () => watches.push((watch = { from: performance.now(), to: Infinity })),
    register: (app: Device.Device) =>
      Effect.gen(function* () {
        yield* Effect.sleep(yield* Random.nextIntBetween(500, 1500))
        if (watch.to !== Infinity) return
        const from = performance.now()
        const answer = yield* Effect.either(log.register(app))
        const said = answer._tag === "Left" ? String(answer.left.cause) : `${answer.right.status} ${answer.right.text}`
        registrations.push({ from, to: performance.now(), said })
      }),
    /** Those that were not answered with a machine, although the server was there. */
    problems: () =>
      registrations.flatMap(({ from, said, to }) => {
        const end = endOf(from)
        const isGood = to > end || said.startsWith("200 ")
        return isGood ? [] : [`a registration: after ${Math.round(to - from)} ms ${said}`]
      }),
    /** The longest wait for an answer while the server was there. */
    longestMillis: () => Math.max(0, ...registrations.map(({ from, to }) => Math.min(to, endOf(from)) - from))
  }
}

type Duty = ReturnType<typeof makeDuty>

interface Restart {
  readonly signal: NodeJS.Signals
  readonly endMillis: number
  readonly backMillis: number
  readonly problems: ReadonlyArray<string>
}

/** The details that a failure message needs. */
const storyOf = (accounts: ReadonlyArray<Account>, duty: Duty, restarts: ReadonlyArray<Restart>) =>
  JSON.stringify({
    seed,
    ...StormCheck.countsOf(accounts),
    registrations: AckLog.latencies(duty.log.answers),
    restarts: restarts.map(({ problems, ...rest }) => ({ ...rest, problemCount: problems.length }))
  })

/** Ends the server in the middle of everything, checks what it left, starts it again and waits for all clients. */
const restart = (server: BuiltServer.Server, accounts: ReadonlyArray<Account>, duty: Duty, signal: NodeJS.Signals) =>
  Effect.gen(function* () {
    const lines = accounts.flatMap(({ talkers }) => talkers.map(({ line }) => line))
    const marks = lines.map(({ heard }) => heard.length)
    duty.goesDown()
    const { code, millis: endMillis } = yield* server.end(signal)
    assert.strictEqual(code, signal === "SIGTERM" ? 0 : null, server.output())
    TimeLimit.holds("the shutdown, in ms", endMillis, shutdownLimitMillis)
    const problems = StormCheck.problemsOf(server, accounts)
    yield* server.start
    duty.isUp()
    const everybody = Effect.forEach(
      lines,
      (line, index) => line.until(({ event }) => event === "connect", marks[index]),
      { concurrency: "unbounded", discard: true }
    )
    const [duration] = yield* Effect.timed(
      within(everybody, backLimitMillis, () => {
        const away = lines.filter(({ socket }) => !socket.connected).length
        return `${away} sockets are not back: ${storyOf(accounts, duty, [])}`
      })
    )
    const backMillis = Math.round(Duration.toMillis(duration))
    TimeLimit.holds("until all are back, in ms", backMillis, backWithinMillis)
    return { signal, endMillis, backMillis, problems }
  })

const within = <A, E, R>(self: Effect.Effect<A, E, R>, millis: number, message: () => string) =>
  Effect.timeoutFailCause(self, { duration: millis, onTimeout: () => Cause.die(new Error(message())) })

/** Every page of the feed of an account, from the beginning on. */
const readFeed = (app: Device.Device) =>
  Effect.gen(function* () {
    const changes: Array<StormCheck.Change> = []
    for (let after = 0; ;) {
      const { body, status } = yield* Effect.orDie(app.get(`/v2/changes?after=${after}&limit=100`))
      assert.strictEqual(status, 200)
      if (body["changes"].length === 0) break
      changes.push(...body["changes"])
      after = body["nextCursor"]
    }
    const { body } = yield* Effect.orDie(app.get("/v2/cursor"))
    return { changes, cursor: Number(body["cursor"]) }
  })

/** All clients send while the server ends twice; in the end everything is answered. */
const storm = (server: BuiltServer.Server, accounts: ReadonlyArray<Account>, duty: Duty) =>
  Effect.gen(function* () {
    let isOver = false
    const work = yield* Effect.forkScoped(
      Effect.forEach(
        accounts.flatMap(({ agents, app, sids, watcher }) => [
          ...agents.map(({ sid, talker }) => talking(talker, [sid], () => isOver)),
          talking(watcher, sids, () => isOver),
          Effect.repeat(duty.register(app), { until: () => isOver })
        ]),
        (one) => one,
        { concurrency: "unbounded", discard: true }
      )
    )
    const partMillis = Math.round((seconds * 1000) / 3)
    const restarts: Array<Restart> = []
    for (const signal of yield* Random.shuffle(["SIGKILL", "SIGTERM"] as const)) {
      yield* Effect.sleep(yield* Random.nextIntBetween(Math.round(partMillis / 2), Math.round(1.5 * partMillis)))
      restarts.push(yield* restart(server, accounts, duty, signal))
    }
    yield* Effect.sleep(partMillis)
    isOver = true
    yield* within(Fiber.join(work), 4 * Talker.ackTimeoutMillis, () => `no end: ${storyOf(accounts, duty, restarts)}`)
    return restarts
  })

describe("a storm of clients", () => {
  it.scopedLive(
    `loses nothing that was promised, over a kill and a stop of the server (seed ${seed})`,
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start(environment)
        const accounts = yield* Effect.forEach(ids(accountCount), (index) => openAccount(server.url, `a${index}`), {
          concurrency: 4
        })
        const duty = makeDuty()
        const restarts = yield* storm(server, accounts, duty)
        const feeds = yield* Effect.forEach(accounts, ({ app }) => readFeed(app))
        const story = storyOf(accounts, duty, restarts)
        const problems = [
          ...restarts.flatMap(({ problems }) => problems),
          ...StormCheck.problemsOf(server, accounts),
          ...accounts.flatMap(({ talkers }) => talkers.flatMap(({ problems }) => problems)),
          ...accounts.flatMap(({ sids }, index) => StormCheck.feedProblems(server, sids, feeds[index])),
          ...duty.log.missing(server).map((id) => `machine ${id} is not there`),
          ...duty.problems()
        ]
        assert.deepStrictEqual(problems.slice(0, 20), [], `${problems.length} problems: ${story}`)
        TimeLimit.holds("the longest registration, in ms", duty.longestMillis(), controlDeadlineMillis + marginMillis)
        const { acked, sent, timeouts } = StormCheck.countsOf(accounts)
        assert.strictEqual(acked, sent, story)
        assert.strictEqual(timeouts, 0, story)
        assert.isAbove(sent, accountCount * sessionsEach, story)
        assert.isAbove(duty.log.acknowledged.size, accountCount, story)
        assert.deepStrictEqual(server.rows("PRAGMA integrity_check"), [{ integrity_check: "ok" }])
      }).pipe(Effect.withRandom(Random.make(seed))),
    (seconds + 150) * 1000
  )
})
