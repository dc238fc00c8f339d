/**
 * One of several processes that keep presence in one database: its lease, its mark, and the clock of the database.
 *
 * A replica marks the rows that it serves with its epoch, and keeps a lease by
 * that epoch. While the lease holds, no other replica shows these rows offline.
 * Once it has ended, and the grace after it, another one does.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import { strictEqual } from "node:assert/strict"
 * import * as Presence from "presence-effect/Presence"
 * import * as PresenceStorage from "presence-effect/presence/PresenceStorage"
 * import * as SimulatedReplicas from "presence-effect/testing/SimulatedReplicas"
 *
 * class Devices extends Presence.Tag("example/Devices", { device: { servedBy: "servedBy" } })<Devices>() {}
 *
 * const phone = { kind: "device", id: "phone" } as const
 * const program = Effect.gen(function* () {
 *   const rows = PresenceStorage.memoryRows(Devices.kinds)
 *   rows.set("device", { id: "phone", active: false, lastActiveMillis: 0 })
 *   const database = SimulatedReplicas.make(Devices.kinds, rows, { nowMillis: Date.now })
 *   const [one, other] = [yield* database.join(), yield* database.join()]
 *   const storages = [one, other].map((storage) => Effect.provideService(PresenceStorage.PresenceStorage, storage))
 *   const [left, right] = yield* Effect.all(storages.map((provide) => provide(Presence.make(Devices.kinds))))
 *   left?.connected(phone)
 *   yield* left?.flush ?? Effect.void
 *   strictEqual(database.servedBy(phone), one.shared?.replica.epoch())
 *   right?.connected(phone)
 *   yield* right?.flush ?? Effect.void
 *   strictEqual(database.servedBy(phone), other.shared?.replica.epoch())
 * })
 * await Effect.runPromise(Effect.scoped(program))
 *
 * @since 0.4.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { DatabaseName, labelled } from "../writer/DatabaseName.ts"
import * as PresenceMetrics from "./PresenceMetrics.ts"

/**
 * @category models
 * @since 0.4.0
 */
export interface ReplicaOptions {
  /** Time between two renewals of the lease, and between two looks for replicas that are gone. */
  readonly beatInterval: Duration.DurationInput
  /** How long a lease holds after it was renewed. Every replica of a database must use the same. */
  readonly lease: Duration.DurationInput
  /**
   * Time that the rows of a lease that has ended have to come back to another replica. At least the grace after a
   * disconnect and one interval of presence: what came back within the grace is written by then.
   */
  readonly grace: Duration.DurationInput
}

/**
 * A crashed replica's rows are offline 35 to 38 s after its last beat: the lease, the grace of 15 s, one interval of
 * presence, and one beat of another replica.
 *
 * @category presets
 * @since 0.4.0
 */
export const defaults: ReplicaOptions = { beatInterval: "3 seconds", lease: "15 seconds", grace: "20 seconds" }

/**
 * Durations that do not fit together. Each problem names its option.
 *
 * @category errors
 * @since 0.4.0
 */
export class ReplicaInvalid extends Schema.TaggedError<ReplicaInvalid>("presence-effect/ReplicaInvalid")(
  "ReplicaInvalid",
  { problems: Schema.NonEmptyArray(Schema.String) }
) {
  /** @since 0.4.0 */
  override get message(): string {
    return `invalid replica:\n${this.problems.map((problem) => `- ${problem}`).join("\n")}`
  }
}

/**
 * A lease that has begun, and the time of the database then.
 *
 * @category models
 * @since 0.4.0
 */
export interface Lease {
  /** A text that no other lease has or had. */
  readonly epoch: string
  /** Epoch ms, by the clock of the database. */
  readonly nowMillis: number
}

/**
 * Where the leases of all replicas are: a table of the database that has the rows. Every time in it is judged by the
 * clock of the database.
 *
 * @category models
 * @since 0.4.0
 */
export interface LeaseStore<E> {
  /** Begins a lease, and removes those that ended long ago. */
  readonly begin: Effect.Effect<Lease, E>
  /** Renews a lease. Answers the time of the database, or `undefined`: the lease had ended, and stays so. */
  readonly beat: (epoch: string) => Effect.Effect<number | undefined, E>
  /** The lease ends now: its rows have the grace from here. */
  readonly end: (epoch: string) => Effect.Effect<void, E>
}

/**
 * @category models
 * @since 0.4.0
 */
export interface ReplicaStatus {
  readonly epoch: string
  /** Time since the database confirmed the lease. */
  readonly leaseAgeMillis: number
  /** Whether the lease holds, as far as this process can tell. The database decides. */
  readonly isLeaseHeld: boolean
  /** Leases that ended while this replica ran: it was suspended, or the database was away. */
  readonly lostLeases: number
  /** How far the clock of the database is ahead of the clock of this process. */
  readonly clockOffsetMillis: number
}

/**
 * This process among those that share a database.
 *
 * @category services
 * @since 0.4.0
 */
export class Replica extends Context.Tag("presence-effect/presence/Replica")<
  Replica,
  {
    /** The mark of the rows that this replica serves. Another one after each lease that was lost. */
    readonly epoch: () => string
    /**
     * How far the clock of the database is ahead. Measured with each beat; it changes only when the measurements show
     * that it has, so that times of one row keep their order.
     */
    readonly clockOffsetMillis: () => number
    readonly beatIntervalMillis: number
    readonly leaseMillis: number
    readonly graceMillis: number
    /** Calls `listener` after each new lease that replaces a lost one, until the scope closes. */
    readonly onNewLease: (listener: () => void) => Effect.Effect<void, never, Scope.Scope>
    readonly status: Effect.Effect<ReplicaStatus>
  }
>() {}

const millisOf = (value: unknown): number =>
  Option.match(Duration.decodeUnknown(value), { onNone: () => Number.NaN, onSome: Duration.toMillis })

/** The durations in milliseconds. */
const resolved = (given: Partial<ReplicaOptions>) => {
  const options = { ...defaults, ...given }
  const beatIntervalMillis = millisOf(options.beatInterval)
  const leaseMillis = millisOf(options.lease)
  const graceMillis = millisOf(options.grace)
  const problems: Array<string> = []
  if (!(beatIntervalMillis > 0)) problems.push("beatInterval must be above zero")
  if (!(leaseMillis >= 3 * beatIntervalMillis && Number.isFinite(leaseMillis))) {
    problems.push(
      "lease must be finite and at least three times beatInterval: a beat may fail, and the next one be late"
    )
  }
  if (!(graceMillis >= 0 && Number.isFinite(graceMillis))) problems.push("grace must be finite and not negative")
  const [problem, ...others] = problems
  return problem === undefined
    ? Effect.succeed({ beatIntervalMillis, leaseMillis, graceMillis })
    : new ReplicaInvalid({ problems: [problem, ...others] })
}

/** Below this a difference between two measurements says nothing: clocks that are kept in time move by less. */
const offsetNoiseMillis = 20

/** While the lease cannot be renewed, one line a minute is logged. */
const warnEveryMillis = 60_000

interface State {
  epoch: string
  offset: number
  /** When the newest confirmed beat was sent, by the monotonic clock in ms. The lease holds from there at least. */
  confirmedAt: number
  lost: number
}

const monotonicMillis = Effect.map(Clock.currentTimeNanos, (nanos) => Number(nanos / 1_000_000n))

/** Runs `call` and takes over what its answer says about the clock of the database. */
const measured = <A, E>(state: State, call: Effect.Effect<A, E>, timeOf: (answer: A) => number | undefined) =>
  Effect.gen(function* () {
    const sentAt = yield* monotonicMillis
    const before = yield* Clock.currentTimeMillis
    const answer = yield* call
    const after = yield* Clock.currentTimeMillis
    const theirs = timeOf(answer)
    if (theirs === undefined) return answer
    state.confirmedAt = sentAt
    const offset = Math.round(theirs - (before + after) / 2)
    // The answer says no more than that the clock was read in between.
    const noise = Math.abs(after - before) / 2 + offsetNoiseMillis
    if (Math.abs(offset - state.offset) > noise) state.offset = offset
    return answer
  })

const makeWarn = () => {
  let warnedAt = Number.NEGATIVE_INFINITY
  return (cause: unknown): Effect.Effect<void> =>
    Effect.flatMap(monotonicMillis, (now) => {
      if (now - warnedAt < warnEveryMillis) return Effect.void
      warnedAt = now
      return Effect.logWarning("the lease of this replica could not be renewed", cause).pipe(
        Effect.annotateLogs("code", "LeaseNotRenewed")
      )
    })
}

/**
 * A clock that shows the time of the database: `clock`, moved by what was measured. Presence over a shared storage runs
 * on it, so that clients are dated alike by every replica. Its monotonic time and its sleep are those of `clock`.
 *
 * @example
 * import * as Clock from "effect/Clock"
 * import { strictEqual } from "node:assert/strict"
 * import * as Replica from "presence-effect/presence/Replica"
 *
 * const own = { ...Clock.make(), unsafeCurrentTimeMillis: () => 1_000 }
 * const clock = Replica.databaseClock({ clockOffsetMillis: () => 30_000 }, own)
 * strictEqual(clock.unsafeCurrentTimeMillis(), 31_000)
 *
 * @category getters
 * @since 0.4.0
 */
export const databaseClock = (
  { clockOffsetMillis }: Pick<Replica["Type"], "clockOffsetMillis">,
  clock: Clock.Clock
): Clock.Clock => {
  const unsafeCurrentTimeMillis = () => clock.unsafeCurrentTimeMillis() + clockOffsetMillis()
  return {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis,
    unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos(),
    currentTimeMillis: Effect.sync(unsafeCurrentTimeMillis),
    currentTimeNanos: clock.currentTimeNanos,
    sleep: (duration) => clock.sleep(duration)
  }
}

/** The lease as this process sees it, and what it does with the one in the store. */
const makeLease = <E>({ beat, begin: acquire }: LeaseStore<E>, label: ReturnType<typeof labelled>) => {
  const listeners = new Set<() => void>()
  const warn = makeWarn()
  // The first measurement differs from this by more than any noise.
  const state: State = { epoch: "", offset: Number.NEGATIVE_INFINITY, confirmedAt: 0, lost: 0 }
  const begin = Effect.map(
    measured(state, acquire, ({ nowMillis }) => nowMillis),
    ({ epoch }) => void (state.epoch = epoch)
  )
  const age = Effect.map(monotonicMillis, (now) => now - state.confirmedAt)
  const publish = Effect.gen(function* () {
    yield* Metric.set(label(PresenceMetrics.leaseAgeSeconds), (yield* age) / 1_000)
    yield* Metric.set(label(PresenceMetrics.clockOffsetSeconds), state.offset / 1_000)
  })
  const replace = Effect.gen(function* () {
    yield* begin
    state.lost++
    yield* Metric.increment(label(PresenceMetrics.leasesLost))
    yield* Effect.logWarning("the lease of this replica had ended, it serves under a new one").pipe(
      Effect.annotateLogs("code", "LeaseLost")
    )
    for (const listener of listeners) listener()
  })
  const renew = Effect.suspend(() => measured(state, beat(state.epoch), (answer) => answer)).pipe(
    Effect.flatMap((answer) => (answer === undefined ? replace : Effect.void)),
    Effect.catchAllCause(warn),
    Effect.zipRight(publish)
  )
  return { state, listeners, begin, age, renew, warn }
}

/**
 * Begins a lease and renews it in the scope; closing it ends the lease, after what was built on it.
 *
 * **Details**
 *
 * - A lease that has ended is never renewed. A replica that finds its own ended, because it was suspended or the
 *   database was away, begins another one under a new epoch, and calls the listeners of `onNewLease`.
 * - Until then the storage defers what it would write under the old epoch, except ends.
 * - A beat that fails is repeated one interval later, and logged once a minute.
 *
 * **Errors**: `ReplicaInvalid` when the durations do not fit together, and what `begin` of the store fails with.
 *
 * @category constructors
 * @since 0.4.0
 */
export const make = <E>(
  store: (leaseMillis: number) => LeaseStore<E>,
  given: Partial<ReplicaOptions> = {}
): Effect.Effect<Replica["Type"], E | ReplicaInvalid, Scope.Scope> =>
  Effect.gen(function* () {
    const durations = yield* resolved(given)
    const leases = store(durations.leaseMillis)
    const { age, begin, listeners, renew, state, warn } = makeLease(leases, labelled(yield* DatabaseName))

    yield* Effect.acquireRelease(begin, () =>
      // A lease that cannot be ended ends by itself.
      Effect.suspend(() => leases.end(state.epoch)).pipe(Effect.catchAllCause(warn))
    )
    // The first call may have opened a connection, so its answer says little about the clock. This one says more.
    yield* renew
    yield* Effect.forkScoped(Effect.forever(Effect.zipRight(Effect.sleep(durations.beatIntervalMillis), renew)))

    return Replica.of({
      epoch: () => state.epoch,
      clockOffsetMillis: () => state.offset,
      ...durations,
      onNewLease: (listener) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            const own = () => listener()
            listeners.add(own)
            return own
          }),
          (own) => Effect.sync(() => listeners.delete(own))
        ).pipe(Effect.asVoid),
      status: Effect.map(age, (leaseAgeMillis): ReplicaStatus => ({
        epoch: state.epoch,
        leaseAgeMillis,
        isLeaseHeld: leaseAgeMillis < durations.leaseMillis,
        lostLeases: state.lost,
        clockOffsetMillis: state.offset
      }))
    })
  })
