/**
 * How long a lane waits and holds, how many may wait, what is tried again.
 *
 * A policy is a value: it has no methods, it can be printed and compared, and
 * the name of every limit states what it counts. The order of its lanes is the order
 * of service.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import { dual } from "effect/Function"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Lane from "./Lane.ts"
import type { Durability } from "./Durability.ts"
import type { WriterError } from "./WriterError.ts"

/**
 * When an attempt is tried again. Only failures whose `isRetryable` is true
 * are, and every attempt queues for the permit anew.
 *
 * @category models
 * @since 0.1.0
 */
export interface RetryTerms {
  /** How long after the first attempt another one may start. Zero: never. */
  readonly retryFor: Duration.DurationInput
  /** Delay before the second attempt. Doubles, with jitter of a fifth, up to `retryDelayMax`. */
  readonly retryDelay: Duration.DurationInput
  readonly retryDelayMax: Duration.DurationInput
}

/**
 * The terms of one lane.
 *
 * @category models
 * @since 0.1.0
 */
export interface LanePolicy {
  readonly lane: Lane.Lane
  /** Longest wait for the permit, per attempt. Counts queueing only, never the write. */
  readonly acquireTimeout: Duration.DurationInput
  /** Longest time from the grant to the engine's answer before the caller is let go. The permit stays. */
  readonly holdLimit: Duration.DurationInput
  /** The caller's whole budget: every wait, hold and retry. */
  readonly deadline: Duration.DurationInput
  /** Waiters allowed at once; one more fails with `LaneOverflow`. */
  readonly capacity: number
  /** Writes of this lane that may share one commit. One: no sharing. */
  readonly groupLimit: number
  readonly retry: RetryTerms
  /** What a commit of this lane survives, unless the write asks for another durability. */
  readonly durability: Durability
}

/**
 * @category models
 * @since 0.1.0
 */
export interface WriterPolicy {
  /** First lane first served. */
  readonly lanes: ReadonlyArray<LanePolicy>
  /** Grants that may pass over a waiting lane before it gets one turn. */
  readonly bypassLimit: number
}

/**
 * Policy for one box with tens to thousands of sessions.
 *
 * The worst case of a lane ends before its caller gives up: `control`
 * answers within 2 s because a daemon gives up its registration after 10 s, and
 * `data` within 5 s because a client waits 7.5 s for the ack of a message.
 *
 * @category presets
 * @since 0.1.0
 */
export const defaults: WriterPolicy = {
  lanes: [
    {
      lane: Lane.control,
      acquireTimeout: "500 millis",
      holdLimit: "500 millis",
      deadline: "2 seconds",
      capacity: 256,
      groupLimit: 64,
      retry: { retryFor: "950 millis", retryDelay: "5 millis", retryDelayMax: "40 millis" },
      durability: "power-loss"
    },
    {
      lane: Lane.data,
      acquireTimeout: "1500 millis",
      holdLimit: "1 second",
      deadline: "5 seconds",
      capacity: 1024,
      groupLimit: 64,
      retry: { retryFor: "2400 millis", retryDelay: "10 millis", retryDelayMax: "80 millis" },
      durability: "power-loss"
    },
    {
      lane: Lane.presence,
      acquireTimeout: "10 seconds",
      holdLimit: "5 seconds",
      deadline: "15 seconds",
      capacity: 4,
      groupLimit: 1,
      // The next tick is the retry: a flush that fails keeps its heartbeats.
      retry: { retryFor: 0, retryDelay: 0, retryDelayMax: 0 },
      durability: "process-crash"
    },
    {
      lane: Lane.maintenance,
      acquireTimeout: "30 seconds",
      holdLimit: "10 seconds",
      deadline: "45 seconds",
      capacity: 8,
      groupLimit: 1,
      retry: { retryFor: "4 seconds", retryDelay: "500 millis", retryDelayMax: "1 second" },
      durability: "process-crash"
    }
  ],
  bypassLimit: 16
}

/**
 * What may be replaced in the terms of a lane.
 *
 * @category models
 * @since 0.1.0
 */
export type LaneTerms = Partial<Omit<LanePolicy, "lane">>

/**
 * Replaces some terms of one lane. A lane the policy does not have is left
 * alone; `resolve` and the writer name the lanes that exist.
 *
 * @example
 * import * as Lane from "presence-effect/writer/Lane"
 * import * as WriterPolicy from "presence-effect/writer/WriterPolicy"
 *
 * const larger = WriterPolicy.withLane(WriterPolicy.defaults, Lane.control, { capacity: 512 })
 *
 * console.log(larger.lanes[0]?.capacity === 512)
 *
 * @category combinators
 * @since 0.1.0
 */
export const withLane: {
  (lane: Lane.Lane, terms: LaneTerms): (self: WriterPolicy) => WriterPolicy
  (self: WriterPolicy, lane: Lane.Lane, terms: LaneTerms): WriterPolicy
} = dual(3, (self: WriterPolicy, lane: Lane.Lane, terms: LaneTerms): WriterPolicy => ({
  ...self,
  lanes: self.lanes.map((policy) => (policy.lane === lane ? { ...policy, ...terms } : policy))
}))

/**
 * Adds a lane, served right before the lane `before`, or last.
 *
 * @category combinators
 * @since 0.1.0
 */
export const addLane: {
  (policy: LanePolicy, before?: Lane.Lane): (self: WriterPolicy) => WriterPolicy
  (self: WriterPolicy, policy: LanePolicy, before?: Lane.Lane): WriterPolicy
} = dual(
  (args) => "lanes" in args[0],
  (self: WriterPolicy, policy: LanePolicy, before?: Lane.Lane): WriterPolicy => {
    const at = self.lanes.findIndex(({ lane }) => lane === before)
    return { ...self, lanes: self.lanes.toSpliced(at < 0 ? self.lanes.length : at, 0, policy) }
  }
)

/**
 * Serves the lanes in the order given. Lanes it does not name keep their order
 * and come after.
 *
 * @category combinators
 * @since 0.1.0
 */
export const reorder: {
  (order: ReadonlyArray<Lane.Lane>): (self: WriterPolicy) => WriterPolicy
  (self: WriterPolicy, order: ReadonlyArray<Lane.Lane>): WriterPolicy
} = dual(2, (self: WriterPolicy, order: ReadonlyArray<Lane.Lane>): WriterPolicy => {
  const rank = (lane: Lane.Lane) => (order.includes(lane) ? order.indexOf(lane) : order.length)
  return { ...self, lanes: self.lanes.toSorted((a, b) => rank(a.lane) - rank(b.lane)) }
})

/**
 * A policy whose knobs contradict each other. Each problem names its knob.
 *
 * @category errors
 * @since 0.1.0
 */
export class PolicyInvalid extends Schema.TaggedError<PolicyInvalid>("presence-effect/PolicyInvalid")("PolicyInvalid", {
  problems: Schema.NonEmptyArray(Schema.String)
}) {
  /** @since 0.1.0 */
  override get message(): string {
    return `invalid writer policy:\n${this.problems.map((problem) => `- ${problem}`).join("\n")}`
  }
}

/**
 * The terms of one lane with every duration in milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface ResolvedLane {
  readonly lane: Lane.Lane
  readonly acquireTimeoutMillis: number
  readonly holdLimitMillis: number
  readonly deadlineMillis: number
  readonly capacity: number
  readonly groupLimit: number
  readonly durability: Durability
  readonly retryForMillis: number
  readonly retryDelayMillis: number
  readonly retryDelayMaxMillis: number
}

/**
 * @category models
 * @since 0.1.0
 */
export interface ResolvedPolicy {
  readonly lanes: ReadonlyArray<ResolvedLane>
  readonly bypassLimit: number
}

const resolveLane = (policy: LanePolicy): ResolvedLane => ({
  lane: policy.lane,
  acquireTimeoutMillis: Duration.toMillis(policy.acquireTimeout),
  holdLimitMillis: Duration.toMillis(policy.holdLimit),
  deadlineMillis: Duration.toMillis(policy.deadline),
  capacity: policy.capacity,
  groupLimit: policy.groupLimit,
  durability: policy.durability,
  retryForMillis: Duration.toMillis(policy.retry.retryFor),
  retryDelayMillis: Duration.toMillis(policy.retry.retryDelay),
  retryDelayMaxMillis: Duration.toMillis(policy.retry.retryDelayMax)
})

/**
 * The terms of one lane of the policy.
 *
 * **Errors**: throws a `RangeError` that names the lanes the policy has; a lane
 * is a constant of the program, so that is a mistake of its author.
 *
 * @category getters
 * @since 0.1.0
 */
export const termsOf = (policy: ResolvedPolicy, lane: Lane.Lane): ResolvedLane => {
  const found = policy.lanes.find((terms) => terms.lane === lane)
  if (found !== undefined) return found
  throw new RangeError(`the policy has no lane ${lane}, only ${policy.lanes.map((terms) => terms.lane).join(", ")}`)
}

/**
 * The longest a caller of the lane can wait when every clock runs to its end:
 * the last attempt starts `retryFor` (plus one delay) after the first, waits its
 * whole `acquireTimeout` and holds its whole `holdLimit`.
 *
 * @category getters
 * @since 0.1.0
 */
export const worstCaseMillis = (lane: ResolvedLane): number =>
  (lane.retryForMillis > 0 ? lane.retryForMillis + lane.retryDelayMaxMillis : 0) +
  lane.acquireTimeoutMillis +
  lane.holdLimitMillis

const laneProblems = (lane: ResolvedLane): ReadonlyArray<string> => {
  const knob = (name: string) => `lanes.${lane.lane}.${name}`
  const problems: Array<string> = []
  for (const name of ["acquireTimeout", "holdLimit", "deadline"] as const) {
    const millis = lane[`${name}Millis`]
    if (!Number.isFinite(millis) || millis <= 0) {
      problems.push(`${knob(name)} must be a finite duration above zero, got ${millis} ms`)
    }
  }
  for (const name of ["capacity", "groupLimit"] as const) {
    if (!Number.isSafeInteger(lane[name]) || lane[name] < 1) {
      problems.push(`${knob(name)} must be a whole number of at least 1, got ${lane[name]}`)
    }
  }
  for (const name of ["retryFor", "retryDelay", "retryDelayMax"] as const) {
    if (!Number.isFinite(lane[`${name}Millis`])) problems.push(`${knob(`retry.${name}`)} must be finite`)
  }
  if (lane.retryForMillis > 0 && lane.retryDelayMillis <= 0) {
    problems.push(`${knob("retry.retryDelay")} must be above zero when ${knob("retry.retryFor")} is`)
  }
  if (lane.retryDelayMillis > lane.retryDelayMaxMillis) {
    problems.push(`${knob("retry.retryDelay")} must not exceed ${knob("retry.retryDelayMax")}`)
  }
  if (worstCaseMillis(lane) > lane.deadlineMillis) {
    problems.push(
      `${knob("deadline")} (${lane.deadlineMillis} ms) is shorter than the worst case of its other terms ` +
        `(${worstCaseMillis(lane)} ms = retryFor + retryDelayMax + acquireTimeout + holdLimit)`
    )
  }
  return problems
}

/**
 * Checks a policy and decodes its durations. The writer does this once, when
 * its layer is built.
 *
 * **Errors**: `PolicyInvalid` with every problem found, each naming its knob.
 *
 * @category conversions
 * @since 0.1.0
 */
export const resolve = (policy: WriterPolicy): Either.Either<ResolvedPolicy, PolicyInvalid> => {
  const lanes = policy.lanes.map(resolveLane)
  const names = lanes.map(({ lane }) => lane)
  const problems = lanes.flatMap(laneProblems)
  if (lanes.length === 0) problems.push("lanes must name at least one lane")
  for (const name of Arr.dedupe(names.filter((lane, index) => names.indexOf(lane) !== index))) {
    problems.push(`lanes.${name} is given twice`)
  }
  if (!Number.isSafeInteger(policy.bypassLimit) || policy.bypassLimit < 1) {
    problems.push(`bypassLimit must be a whole number of at least 1, got ${policy.bypassLimit}`)
  }
  return Arr.isNonEmptyArray(problems)
    ? Either.left(new PolicyInvalid({ problems }))
    : Either.right({ lanes, bypassLimit: policy.bypassLimit })
}

/**
 * The retry terms of a lane as a schedule: delays double from `retryDelay` to
 * `retryDelayMax`, with jitter, and none starts later than `retryFor` after the
 * first failure.
 *
 * Jitter comes from the `Random` service and time from `Clock`, so tests decide
 * both.
 *
 * @category conversions
 * @since 0.1.0
 */
export const retryDelays = (lane: ResolvedLane): Schedule.Schedule<Duration.Duration> =>
  Schedule.exponential(lane.retryDelayMillis).pipe(
    // The jitter adds up to a fifth, and retryDelayMax is a promise.
    Schedule.modifyDelay((_, delay) => Duration.min(delay, Duration.millis(lane.retryDelayMaxMillis / 1.2))),
    Schedule.jittered,
    Schedule.zipRight(Schedule.elapsed),
    Schedule.whileOutput((elapsed) => Duration.toMillis(elapsed) < lane.retryForMillis)
  )

/**
 * `retryDelays` over the failures of a write: only retryable ones recur.
 *
 * @category conversions
 * @since 0.1.0
 */
export const retrySchedule = (lane: ResolvedLane): Schedule.Schedule<Duration.Duration, WriterError> =>
  Schedule.whileInput(retryDelays(lane), (error: WriterError) => error.isRetryable)
