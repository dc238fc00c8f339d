import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as Lane from "../src/writer/Lane.ts"
import * as Presence from "../src/Presence.ts"
import * as SqlitePresenceStorage from "../src/sqlite/SqlitePresenceStorage.ts"
import type { Statement } from "../src/writer/Write.ts"
import * as SqliteWriter from "../src/writer/SqliteWriter.ts"
import * as SimulatedConnection from "../src/testing/SimulatedConnection.ts"
import * as Write from "../src/writer/Write.ts"
import * as WriterPolicy from "../src/writer/WriterPolicy.ts"
import * as NaivePresence from "./support/naivePresence.ts"
import { session, TestPresence } from "./support/kinds.ts"

/** Lets every runnable fiber reach its next suspension. No clock is involved. */
const settle = Effect.yieldNow().pipe(Effect.repeatN(64))

const nine = Array.from({ length: 9 }, (_, index) => session("account", `session ${index + 1}`))
const register = Write.statement("INSERT INTO Machine VALUES (?)", ["machine"], { changes: 1 })

/** Every row exists and does what the flush says. */
const evaluate = ({ changes, params, sql }: Statement) => {
  const json = params[1]
  const rows =
    sql.startsWith("WITH entry") && typeof json === "string"
      ? (JSON.parse(json) as ReadonlyArray<readonly [string, string, number, number]>).map(
          ([id, account, , state]) => ({
            id,
            account,
            active: state === 0 ? 1 : 0
          })
        )
      : []
  return { rows, changes: typeof changes === "number" ? changes : Math.max(1, rows.length) }
}

/** One commit per write, so that a hundred writes are a hundred turns. */
const policy = WriterPolicy.withLane(WriterPolicy.defaults, Lane.control, { groupLimit: 1 })

const noReader = Layer.succeed(SqlitePresenceStorage.PresenceReader, { query: () => Effect.succeed([]) })

class Hosts extends Presence.Tag("test/Hosts", {
  sensor: {},
  laptop: { accountId: "accountId", key: ["accountId", "id"] }
})<Hosts>() {}

interface House {
  readonly engine: SimulatedConnection.SimulatedConnection
  readonly presence: TestPresence["Type"]
  /** Kinds of a host: without an account, and of ids that are unique per account. */
  readonly hosts: Hosts["Type"]
  readonly writer: SqliteWriter.SqliteWriter["Type"]
  readonly scope: Scope.CloseableScope
}
type Story = (house: House) => Effect.Effect<void, unknown>
type Build = "presence-effect" | "per-row loop"

const build = (which: Build, statementMillis: number): Effect.Effect<House, unknown> =>
  Effect.gen(function* () {
    const engine = yield* SimulatedConnection.make({ statementLatency: statementMillis, evaluate })
    const options = { startGrace: "1 hour" as const }
    const both =
      which === "presence-effect"
        ? Layer.merge(Presence.layerSqlite(TestPresence, options), Presence.layerSqlite(Hosts, options)).pipe(
            Layer.provide(noReader),
            Layer.provideMerge(SqliteWriter.layer(policy))
          )
        : Layer.merge(Presence.layer(TestPresence, options), Presence.layer(Hosts, options)).pipe(
            Layer.provide(NaivePresence.layerStorage),
            Layer.provideMerge(NaivePresence.layerWriter)
          )
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(
      both.pipe(Layer.provide(engine.layer), Layer.provide(Logger.remove(Logger.defaultLogger))),
      scope
    )
    return yield* Effect.map(
      Effect.provide(Effect.all({ presence: TestPresence, hosts: Hosts, writer: SqliteWriter.SqliteWriter }), context),
      (services) => ({ ...services, engine, scope })
    )
  })

/** The story holds for the library, and fails on the loop that the incident was made of. */
const story = (title: string, options: { readonly statementMillis: number }, tell: Story) => {
  const run = (which: Build) =>
    Effect.gen(function* () {
      const house = yield* build(which, options.statementMillis)
      const exit = yield* Effect.exit(tell(house))
      // A story may end with a stuck engine, and a loop without limits would then never close.
      house.engine.resume()
      house.engine.unlock()
      const closing = yield* Effect.fork(Scope.close(house.scope, Exit.void))
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(closing)
      return exit
    })
  it.effect(title, () => Effect.flatten(run("presence-effect")))
  it.effect(`(a per-row loop does not: ${title})`, () =>
    Effect.map(run("per-row loop"), (exit) =>
      assert.isTrue(Exit.isFailure(exit), "the story must fail on the loop, or it proves nothing")
    )
  )
}

const beatAll = ({ presence }: House, atMillis: number) => {
  for (const key of nine) presence.beat(key, atMillis)
}

/** Milliseconds of virtual time until the effect ends, in steps of ten; fails when it takes longer than `limit`. */
const timeOf = <A, E>(self: Effect.Effect<A, E>, limit: number) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.fork(Effect.exit(self))
    yield* settle
    for (let millis = 0; millis <= limit; millis += 10) {
      const ended = fiber.unsafePoll()
      if (ended !== null) return { millis, exit: yield* Fiber.join(fiber) }
      yield* TestClock.adjust(10)
    }
    return yield* Effect.fail(`no answer within ${limit} ms`)
  })

const flushed = ({ engine }: House) =>
  engine.committed.flatMap(({ writes }) => writes).filter((write) => !write[0]?.sql.startsWith("INSERT"))

describe("The incident", () => {
  story("a registration waits for one statement while nine sessions flush", { statementMillis: 80 }, (house) =>
    Effect.gen(function* () {
      beatAll(house, 0)
      yield* TestClock.adjust("5 seconds") // the tick begins
      yield* TestClock.adjust("10 millis")
      const { exit, millis } = yield* timeOf(house.writer.write(Lane.control, register), 10_000)
      assert.isTrue(Exit.isSuccess(exit))
      assert.isAtMost(millis, 160, "the rest of one statement, and its own")
    })
  )

  story("a flush of nine sessions costs one round trip", { statementMillis: 80 }, (house) =>
    Effect.gen(function* () {
      beatAll(house, 0)
      yield* TestClock.adjust("5080 millis")
      assert.strictEqual(flushed(house).length, 1)
      assert.strictEqual((yield* house.presence.status).pendingCount, 0)
    })
  )

  story("a stuck engine keeps its permit, frees its callers and shows", { statementMillis: 1 }, (house) =>
    Effect.gen(function* () {
      beatAll(house, 0)
      house.engine.stall()
      yield* TestClock.adjust("5 seconds") // the flush hangs in the engine
      const refused = yield* timeOf(Effect.flip(house.writer.write(Lane.control, register)), 2_000)
      assert.isTrue(Exit.isSuccess(refused.exit))
      const status = yield* house.writer.status
      assert.deepInclude(status.holder, { lane: Lane.presence })
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* house.presence.status).consecutiveFlushFailures, 1)
      assert.strictEqual((yield* house.presence.status).pendingCount, 9)
      assert.strictEqual(house.engine.callCount(), 1, "nobody is let in beside a statement that still runs")
      house.engine.resume()
      const next = yield* timeOf(house.writer.write(Lane.control, register), 100)
      assert.isTrue(Exit.isSuccess(next.exit))
    })
  )

  story("a lock of 30 s refuses control in time and loses no presence", { statementMillis: 1 }, (house) =>
    Effect.gen(function* () {
      house.engine.lock()
      for (let second = 0; second < 30; second += 10) {
        beatAll(house, second * 1_000)
        const { exit, millis } = yield* timeOf(Effect.flip(house.writer.write(Lane.control, register)), 2_000)
        assert.deepInclude(Exit.isSuccess(exit) ? exit.value : undefined, { _tag: "DatabaseBusy", written: "nothing" })
        yield* TestClock.adjust(10_000 - millis)
      }
      assert.strictEqual((yield* house.presence.status).pendingCount, 9)
      house.engine.unlock()
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual(flushed(house).length, 1, "one write after the release")
      assert.strictEqual((yield* house.presence.status).pendingCount, 0)
      const [, json] = flushed(house)[0]?.[0]?.params ?? []
      assert.include(String(json), "20000", "the newest sign of life, not the first")
    })
  )

  story("a full lane refuses at once instead of queueing", { statementMillis: 1 }, (house) =>
    Effect.gen(function* () {
      house.engine.stall()
      const capacity = house.writer.policy.lanes.find(({ lane }) => lane === Lane.control)?.capacity ?? 0
      yield* Effect.fork(Effect.ignore(house.writer.write(Lane.control, register)))
      yield* settle
      yield* Effect.forkAll(
        Array.from({ length: capacity }, () => Effect.ignore(house.writer.write(Lane.control, register)))
      )
      yield* settle
      const { exit, millis } = yield* timeOf(Effect.flip(house.writer.write(Lane.control, register)), 100)
      assert.strictEqual(Exit.isSuccess(exit) ? exit.value._tag : "", "LaneOverflow")
      assert.strictEqual(millis, 0)
    })
  )

  story("a hundred control writes in a row still leave presence its turn", { statementMillis: 20 }, (house) =>
    Effect.gen(function* () {
      beatAll(house, 0)
      yield* TestClock.adjust("4990 millis")
      yield* Effect.forkAll(
        Array.from({ length: 100 }, () => Effect.ignore(house.writer.write(Lane.control, register)))
      )
      // The tick comes 10 ms later and meets the queue: 16 grants may pass it over, 20 ms each.
      yield* TestClock.adjust("380 millis")
      assert.strictEqual(flushed(house).length, 1)
      assert.strictEqual(flushed(house).length, 1)
      assert.isBelow(house.engine.committed.length, 20)
    })
  )

  story("a shutdown in the middle of a flush loses nothing and ends in time", { statementMillis: 500 }, (house) =>
    Effect.gen(function* () {
      beatAll(house, 0)
      yield* TestClock.adjust("5100 millis") // in the middle of the flush
      for (const key of nine) house.presence.beat(key, 40_000)
      const closing = yield* timeOf(Scope.close(house.scope, Exit.void), 3_000)
      assert.isTrue(Exit.isSuccess(closing.exit))
      assert.strictEqual(flushed(house).length, 1)
      assert.strictEqual(flushed(house)[0]?.length, 1)
    })
  )

  for (const kind of ["alone", "shared"] as const) {
    story(`nine rows of a kind of the host, ${kind}, cost one round trip`, { statementMillis: 80 }, (house) =>
      Effect.gen(function* () {
        for (let index = 0; index < 9; index++) {
          house.hosts.beat({ kind: "sensor", id: `sensor ${index}` }, 0)
          if (kind === "shared") house.hosts.beat({ kind: "laptop", accountId: `account ${index}`, id: "laptop" }, 0)
        }
        yield* TestClock.adjust("5 seconds")
        yield* TestClock.adjust("10 millis")
        const { exit, millis } = yield* timeOf(house.writer.write(Lane.control, register), 10_000)
        assert.isTrue(Exit.isSuccess(exit))
        const statementCount = kind === "shared" ? 2 : 1
        assert.isAtMost(millis, statementCount * 80 + 80, "the rest of one transaction, and its own")
        assert.strictEqual(flushed(house).length, 1)
        assert.strictEqual(flushed(house)[0]?.length, statementCount)
        assert.strictEqual((yield* house.hosts.status).pendingCount, 0)
      })
    )
  }

  story("nine laptops of nine accounts with one id are nine rows", { statementMillis: 1 }, (house) =>
    Effect.gen(function* () {
      for (let index = 0; index < 9; index++) {
        const laptop = { kind: "laptop", accountId: `account ${index}`, id: "laptop" } as const
        assert.strictEqual(house.hosts.connected(laptop), "online")
        if (index % 2 === 0) house.hosts.disconnected(laptop)
      }
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual((yield* house.hosts.status).trackedCount, 9)
      const [, json] = flushed(house)[0]?.[0]?.params ?? []
      assert.lengthOf(JSON.parse(String(json)), 9)
    })
  )
})
