import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as TestClock from "effect/TestClock"
import { inspect } from "node:util"
import * as Lane from "../../src/writer/Lane.ts"
import { DatabaseBusy, WriteConflict, type WriterError } from "../../src/writer/WriterError.ts"
import * as WriterPolicy from "../../src/writer/WriterPolicy.ts"

const { defaults } = WriterPolicy
const replication: WriterPolicy.LanePolicy = {
  lane: Lane.make("replication"),
  acquireTimeout: "2 seconds",
  holdLimit: "1 second",
  deadline: "5 seconds",
  capacity: 16,
  groupLimit: 8,
  retry: { retryFor: "1 second", retryDelay: "10 millis", retryDelayMax: "100 millis" },
  durability: "process-crash"
}

const names = (policy: WriterPolicy.WriterPolicy): ReadonlyArray<string> => policy.lanes.map(({ lane }) => lane)
const problemsOf = (policy: WriterPolicy.WriterPolicy): ReadonlyArray<string> =>
  Either.match(WriterPolicy.resolve(policy), { onLeft: ({ problems }) => problems, onRight: () => [] })
const resolvedLane = (lane: Lane.Lane): WriterPolicy.ResolvedLane => {
  const found = Either.getOrThrow(WriterPolicy.resolve(defaults)).lanes.find((one) => one.lane === lane)
  assert.isDefined(found)
  return found
}
const termsOf = (policy: WriterPolicy.WriterPolicy, lane: Lane.Lane) => policy.lanes.find((one) => one.lane === lane)

describe("WriterPolicy", () => {
  describe("defaults", () => {
    it("are valid, serve control first and maintenance last", () => {
      assert.deepStrictEqual(problemsOf(defaults), [])
      assert.deepStrictEqual(names(defaults), ["control", "data", "presence", "maintenance"])
    })

    it("answer control within 2 s and data within 5 s, and lose neither to a power cut", () => {
      assert.isAtMost(WriterPolicy.worstCaseMillis(resolvedLane(Lane.control)), 2_000)
      assert.isAtMost(WriterPolicy.worstCaseMillis(resolvedLane(Lane.data)), 5_000)
      assert.strictEqual(resolvedLane(Lane.control).durability, "power-loss")
      assert.strictEqual(resolvedLane(Lane.data).durability, "power-loss")
    })
  })

  describe("worstCaseMillis", () => {
    it("adds the wait, the hold and the time of the retries, with one delay more", () => {
      const control = resolvedLane(Lane.control)
      assert.strictEqual(WriterPolicy.worstCaseMillis(control), 950 + 40 + 500 + 500)
      assert.strictEqual(WriterPolicy.worstCaseMillis({ ...control, retryForMillis: 0 }), 1_000)
    })
  })

  describe("resolve", () => {
    const { data } = Lane
    const bad: ReadonlyArray<readonly [knob: string, terms: WriterPolicy.LaneTerms]> = [
      ["lanes.data.acquireTimeout", { acquireTimeout: 0 }],
      ["lanes.data.holdLimit", { holdLimit: Duration.infinity, deadline: Duration.infinity }],
      ["lanes.data.deadline", { deadline: Duration.infinity }],
      ["lanes.data.capacity", { capacity: 0 }],
      ["lanes.data.capacity", { capacity: 1.5 }],
      ["lanes.data.capacity", { capacity: Number.POSITIVE_INFINITY }],
      ["lanes.data.groupLimit", { groupLimit: -3 }],
      ["lanes.data.groupLimit", { groupLimit: Number.NaN }],
      ["lanes.data.retry.retryFor", { retry: { retryFor: Duration.infinity, retryDelay: 1, retryDelayMax: 1 } }],
      ["lanes.data.retry.retryDelay ", { retry: { retryFor: 10, retryDelay: 0, retryDelayMax: 1 } }],
      ["lanes.data.retry.retryDelay ", { retry: { retryFor: 10, retryDelay: 5, retryDelayMax: 1 } }],
      ["lanes.data.retry.retryDelayMax", { retry: { retryFor: 10, retryDelay: 5, retryDelayMax: Duration.infinity } }],
      ["lanes.data.deadline", { deadline: "4 seconds" }]
    ]
    for (const [knob, terms] of bad) {
      it(`names ${knob.trim()} when it is ${inspect(terms, { depth: 1 })}`, () => {
        const problems = problemsOf(WriterPolicy.withLane(defaults, data, terms))
        assert.isTrue(
          problems.some((problem) => problem.startsWith(knob)),
          problems.join("\n")
        )
      })
    }

    it("says what a deadline that is too short would have to cover", () => {
      const [problem, ...others] = problemsOf(WriterPolicy.withLane(defaults, data, { deadline: "4979 millis" }))
      assert.deepStrictEqual(others, [])
      assert.include(problem, "4979 ms")
      assert.include(problem, "4980 ms = retryFor + retryDelayMax + acquireTimeout + holdLimit")
      assert.deepStrictEqual(problemsOf(WriterPolicy.withLane(defaults, data, { deadline: "4980 millis" })), [])
    })

    it("names bypassLimit, a lane that is given twice and a policy without lanes", () => {
      for (const bypassLimit of [0, -1, 0.5, Number.NaN]) {
        assert.match(problemsOf({ ...defaults, bypassLimit }).join(), /^bypassLimit must be a whole number/)
      }
      assert.deepStrictEqual(problemsOf({ ...defaults, lanes: [...defaults.lanes, ...defaults.lanes] }).length, 4)
      assert.include(
        problemsOf({ lanes: [replication, replication], bypassLimit: 1 }),
        "lanes.replication is given twice"
      )
      assert.deepStrictEqual(problemsOf({ lanes: [], bypassLimit: 1 }), ["lanes must name at least one lane"])
    })

    it("names every problem at once, of every lane", () => {
      const broken = defaults.lanes.reduce<WriterPolicy.WriterPolicy>(
        (policy, { lane }) => WriterPolicy.withLane(policy, lane, { capacity: 0, groupLimit: 0 }),
        { ...defaults, bypassLimit: 0 }
      )
      const outcome = WriterPolicy.resolve(broken)
      assert.isTrue(Either.isLeft(outcome))
      if (Either.isLeft(outcome)) {
        assert.lengthOf(outcome.left.problems, 9)
        for (const problem of outcome.left.problems) assert.include(outcome.left.message, `\n- ${problem}`)
      }
    })

    it("keeps the order of service and decodes every duration", () => {
      const resolved = Either.getOrThrow(WriterPolicy.resolve(WriterPolicy.reorder(defaults, [Lane.data])))
      assert.deepStrictEqual(
        resolved.lanes.map(({ lane }) => lane),
        [Lane.data, Lane.control, Lane.presence, Lane.maintenance]
      )
      assert.deepInclude(resolved.lanes[0], {
        acquireTimeoutMillis: 1_500,
        holdLimitMillis: 1_000,
        retryDelayMillis: 10
      })
    })
  })

  describe("withLane", () => {
    it("replaces the terms of one lane and nothing else, called and piped", () => {
      const called = WriterPolicy.withLane(defaults, Lane.data, { capacity: 7 })
      assert.deepStrictEqual(WriterPolicy.withLane(Lane.data, { capacity: 7 })(defaults), called)
      assert.deepStrictEqual(termsOf(called, Lane.data)?.capacity, 7)
      assert.deepStrictEqual(WriterPolicy.withLane(called, Lane.data, { capacity: 1_024 }), defaults)
    })

    it("leaves a policy alone that does not have the lane", () => {
      assert.deepStrictEqual(WriterPolicy.withLane(defaults, replication.lane, { capacity: 7 }), defaults)
    })
  })

  describe("addLane", () => {
    it("serves the lane right before another one, or last, called and piped", () => {
      const before = ["control", "data", "replication", "presence", "maintenance"]
      assert.deepStrictEqual(names(WriterPolicy.addLane(defaults, replication, Lane.presence)), before)
      assert.deepStrictEqual(names(WriterPolicy.addLane(replication, Lane.presence)(defaults)), before)
      assert.strictEqual(names(WriterPolicy.addLane(defaults, replication)).at(-1), "replication")
      assert.strictEqual(names(WriterPolicy.addLane(replication)(defaults)).at(-1), "replication")
      assert.strictEqual(names(WriterPolicy.addLane(defaults, replication, Lane.make("nowhere"))).at(-1), "replication")
      assert.lengthOf(defaults.lanes, 4)
    })
  })

  describe("reorder", () => {
    it("serves the named lanes first, the others after in their order, called and piped", () => {
      const order = [Lane.maintenance, Lane.control]
      const expected = ["maintenance", "control", "data", "presence"]
      assert.deepStrictEqual(names(WriterPolicy.reorder(defaults, order)), expected)
      assert.deepStrictEqual(names(WriterPolicy.reorder(order)(defaults)), expected)
      assert.deepStrictEqual(WriterPolicy.reorder(defaults, []), defaults)
      assert.deepStrictEqual(names(WriterPolicy.reorder(defaults, [replication.lane])), names(defaults))
    })
  })

  describe("retrySchedule", () => {
    const busy = new DatabaseBusy({ lane: Lane.control, code: "SQLITE_BUSY", attempts: 1 })

    /** Times of the attempts of something that fails at once and always. */
    const attemptsAt = (lane: WriterPolicy.ResolvedLane, error: WriterError, seed: string) =>
      Effect.gen(function* () {
        const times: Array<number> = []
        const attempt = Effect.flatMap(Clock.currentTimeMillis, (now) => {
          times.push(now)
          return Effect.fail(error)
        })
        const fiber = yield* Effect.retry(attempt, WriterPolicy.retrySchedule(lane)).pipe(
          Effect.exit,
          Effect.withRandom(Random.make(seed)),
          Effect.fork
        )
        yield* TestClock.adjust(lane.retryForMillis + lane.retryDelayMaxMillis)
        yield* Fiber.join(fiber)
        return times
      })

    /** Milliseconds between the attempts, without what floating point adds to them. */
    const delaysOf = (times: ReadonlyArray<number>) =>
      times.slice(1).map((at, index) => Math.round((at - (times[index] ?? 0)) * 1e3) / 1e3)

    for (const lane of [Lane.control, Lane.data, Lane.maintenance]) {
      for (const seed of ["one", "two", "three"]) {
        it.effect(`keeps every delay of ${lane} within its bounds and stops after retryFor (seed ${seed})`, () =>
          Effect.gen(function* () {
            const terms = resolvedLane(lane)
            const times = yield* attemptsAt(terms, busy, seed)
            const delays = delaysOf(times)
            assert.isAbove(delays.length, 2)
            for (const delay of delays) {
              assert.isAtLeast(delay, terms.retryDelayMillis * 0.8)
              assert.isAtMost(delay, terms.retryDelayMaxMillis)
            }
            const lastDecision = times.at(-2) ?? 0
            assert.isBelow(lastDecision, terms.retryForMillis)
            assert.isAtLeast(times.at(-1) ?? 0, terms.retryForMillis)
          })
        )
      }
    }

    it.effect("doubles the delays until they reach their bound", () =>
      Effect.gen(function* () {
        const times = yield* attemptsAt(
          { ...resolvedLane(Lane.control), retryForMillis: 3_000, retryDelayMillis: 10, retryDelayMaxMillis: 1_000 },
          busy,
          "doubling"
        )
        const delays = delaysOf(times)
        assert.isAbove(delays.length, 7)
        for (const [index, delay] of delays.entries()) {
          const planned = Math.min(10 * 2 ** index, 1_000 / 1.2)
          assert.isAtLeast(delay, planned * 0.8 - 0.001)
          assert.isAtMost(delay, planned * 1.2 + 0.001)
        }
      })
    )

    it.effect("spreads the delays, and the same seed spreads them the same way", () =>
      Effect.gen(function* () {
        const terms = resolvedLane(Lane.data)
        const one = delaysOf(yield* attemptsAt(terms, busy, "one"))
        assert.deepStrictEqual(delaysOf(yield* attemptsAt(terms, busy, "one")), one)
        assert.notDeepEqual(delaysOf(yield* attemptsAt(terms, busy, "two")), one)
      })
    )

    it.effect("tries nothing again that cannot succeed, and nothing in a lane without retries", () =>
      Effect.gen(function* () {
        const conflict = new WriteConflict({ lane: Lane.control, statement: 0, expected: 1, changed: 0 })
        assert.lengthOf(yield* attemptsAt(resolvedLane(Lane.control), conflict, "one"), 1)
        assert.lengthOf(yield* attemptsAt(resolvedLane(Lane.presence), busy, "one"), 1)
      })
    )
  })
})

describe("termsOf", () => {
  it("finds the terms of a lane, and names the lanes that exist when there is no such lane", () => {
    const resolved = Either.getOrThrow(WriterPolicy.resolve(WriterPolicy.defaults))
    assert.strictEqual(WriterPolicy.termsOf(resolved, Lane.presence).capacity, 4)
    assert.throws(() => WriterPolicy.termsOf(resolved, Lane.make("replication")), RangeError, /only control, data/)
  })
})
