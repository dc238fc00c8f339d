/**
 * Which rows have been silent for too long: in memory, and in the database.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import * as TestClock from "effect/TestClock"
 * import * as TestContext from "effect/TestContext"
 * import { strictEqual } from "node:assert/strict"
 * import * as OfflineSweeper from "presence-effect/presence/OfflineSweeper"
 * import * as PresenceConfig from "presence-effect/presence/PresenceConfig"
 * import * as PresenceRegistry from "presence-effect/presence/PresenceRegistry"
 * import * as PresenceStorage from "presence-effect/presence/PresenceStorage"
 *
 * const kinds = { device: {} }
 * const program = Effect.gen(function* () {
 *   yield* TestClock.setTime(Date.UTC(2027, 0, 1))
 *   const rows = PresenceStorage.memoryRows(kinds)
 *   // Left active by an earlier process.
 *   rows.set("device", { id: "phone", active: true, lastActiveMillis: Date.UTC(2026, 11, 31) })
 *   yield* OfflineSweeper.make(PresenceConfig.defaults).pipe(
 *     Effect.provideService(
 *       PresenceRegistry.PresenceRegistry,
 *       PresenceRegistry.make(kinds, PresenceConfig.defaults)
 *     ),
 *     Effect.provideService(PresenceStorage.PresenceStorage, PresenceStorage.makeMemory(rows))
 *   )
 *   yield* TestClock.adjust("2 minutes")
 *   strictEqual(rows.get({ kind: "device", id: "phone" })?.active, false)
 * })
 * await Effect.runPromise(Effect.provide(Effect.scoped(program), TestContext.TestContext))
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { withKeptSpan } from "../internal/keptSpan.ts"
import * as Takeover from "./internal/takeover.ts"
import { type TermsByKind, termsOf } from "./PresenceKind.ts"
import type { Transition } from "./PresenceRegistry.ts"
import { PresenceRegistry } from "./PresenceRegistry.ts"
import type { BelievableTimes, StaleCursor, StalePage } from "./PresenceStorage.ts"
import { PresenceStorage } from "./PresenceStorage.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface SweeperOptions extends TermsByKind {
  /** Time between two sweeps of the database. */
  readonly sweepInterval: Duration.DurationInput
  /**
   * No row is shown offline for so long after the start, and after a pause of the process. After that, a row that was
   * last seen before the start is offline, unless it came back.
   */
  readonly startGrace: Duration.DurationInput
  /** Runs after the commit that made the transitions happen. */
  readonly onTransitions?: (transitions: ReadonlyArray<Transition>) => Effect.Effect<void>
}

/** Rows judged by one statement. */
const pageRows = 500

/** A wake-up so much later than planned means that the process stood still, or that the clock was set. */
const pauseMillis = 1_000

/** Between two steps of a walk over the rows of memory. */
const walkMillis = 50

/** Shortest and longest sleep while rows are tracked and no walk is under way. */
const stepMillisMin = 100
const stepMillisMax = 15_000

/** While a grace runs a pause of the process must be noticed soon: it would count as time to come back. */
const graceStepMillis = 1_000

/**
 * When rows may be taken offline: not during the grace after the start, nor after a pause in which no row could show a
 * sign of life. A fiber plans when it wakes up; when that is far behind, the process stood still.
 */
const makeQuiet = (quietMillis: number, bootMillis: number, isShared: boolean) => {
  let until = bootMillis + quietMillis
  // Other replicas served rows before this one started, and still do.
  let startedAt = isShared ? Number.NEGATIVE_INFINITY : bootMillis
  const planned = { memory: Number.POSITIVE_INFINITY, database: Number.POSITIVE_INFINITY }
  return {
    plan: (fiber: keyof typeof planned, atMillis: number): void => {
      planned[fiber] = atMillis
    },
    /** Asked before every judgement, by both fibers: the first that wakes up after a pause must notice it. */
    isQuiet: (nowMillis: number): boolean => {
      if (nowMillis - Math.min(planned.memory, planned.database) > pauseMillis) {
        until = nowMillis + quietMillis
        planned.memory = Number.POSITIVE_INFINITY
        planned.database = Number.POSITIVE_INFINITY
      }
      // After the clock was set back, the grace must not last longer by that amount.
      until = Math.min(until, nowMillis + quietMillis)
      return nowMillis < until
    },
    /** When rows may be judged again. */
    untilMillis: (): number => until,
    /** A row that was last seen before has not come back. Times from before the clock was set back prove nothing. */
    startedAt: (nowMillis: number): number => {
      if (startedAt > nowMillis) startedAt = Number.NEGATIVE_INFINITY
      return startedAt
    }
  }
}

type Quiet = ReturnType<typeof makeQuiet>

/** Judges the rows of memory whenever one of them may be due. While none is tracked, nothing wakes up. */
const judgeMemory = (registry: PresenceRegistry["Type"], quiet: Quiet): Effect.Effect<never> => {
  const sleepMillis = (nowMillis: number): number => {
    if (registry.trackedCount() === 0) return Number.POSITIVE_INFINITY
    const untilJudged = quiet.untilMillis() - nowMillis
    // Nothing is judged before, and a clock that was set back is noticed only then: what is due by now may be far off.
    if (untilJudged > 0) return Math.max(stepMillisMin, Math.min(graceStepMillis, untilJudged))
    const untilDue = registry.nextDueMillis() - nowMillis
    if (untilDue === Number.NEGATIVE_INFINITY) return walkMillis
    return Math.max(stepMillisMin, Math.min(registry.hasGrace() ? graceStepMillis : stepMillisMax, untilDue))
  }
  return Effect.forever(
    Effect.gen(function* () {
      registry.judgeable.unsafeClose()
      const beforeMillis = yield* Clock.currentTimeMillis
      const millis = sleepMillis(beforeMillis)
      quiet.plan("memory", beforeMillis + millis)
      if (millis === Number.POSITIVE_INFINITY) yield* registry.judgeable.await
      else if (millis <= graceStepMillis) yield* Effect.sleep(millis)
      else yield* Effect.raceFirst(Effect.sleep(millis), registry.judgeable.await)
      const nowMillis = yield* Clock.currentTimeMillis
      if (!quiet.isQuiet(nowMillis)) registry.dueOffline(nowMillis)
    })
  )
}

type Emit = (transitions: ReadonlyArray<Transition>) => Effect.Effect<void>

/** Takes rows offline that are stored as active and that memory does not hold. */
const makeSweep = (
  registry: PresenceRegistry["Type"],
  storage: PresenceStorage["Type"],
  options: SweeperOptions,
  quiet: Quiet,
  emit: Emit
): Effect.Effect<void> => {
  const kinds = registry.kinds.map((kind) => {
    const { acceptanceWindow, offlineTimeout } = termsOf(options, kind)
    return { kind, timeoutMillis: Duration.toMillis(offlineTimeout), windowMillis: Duration.toMillis(acceptanceWindow) }
  })

  const sweepPage = (page: StalePage, believable: BelievableTimes, nowMillis: number) =>
    Effect.uninterruptibleMask((restore) => {
      const keys = page.rows.map(({ key }) => key).filter((key) => !registry.isHeld(key))
      if (keys.length === 0) return Effect.void
      // A committed transition is announced, also when the scope closes now.
      return Effect.flatMap(restore(storage.markOffline(keys, believable)), (changed) => {
        const transitions: Array<Transition> = []
        for (const { key, lastSeenMillis } of changed) {
          // It came back while the statement waited: it is written again, and no transition is announced.
          if (registry.reactivate(key)) continue
          transitions.push({ key, lastSeenMillis: Math.min(lastSeenMillis, nowMillis), reason: "silent" })
        }
        return emit(transitions)
      })
    })

  return Effect.gen(function* () {
    const nowMillis = yield* Clock.currentTimeMillis
    for (const { kind, timeoutMillis, windowMillis } of kinds) {
      // A time that lies further ahead than the window is from before the clock was set back.
      const believable = {
        firstMillis: Math.max(nowMillis - timeoutMillis, quiet.startedAt(nowMillis)),
        lastMillis: nowMillis + windowMillis
      }
      let after: StaleCursor | undefined = undefined
      do {
        if (quiet.isQuiet(yield* Clock.currentTimeMillis)) return
        const page: StalePage = yield* storage.findStale(kind, believable, pageRows, after)
        if (quiet.isQuiet(yield* Clock.currentTimeMillis)) return
        yield* sweepPage(page, believable, nowMillis)
        after = page.next
      } while (after !== undefined)
    }
  }).pipe(
    Effect.catchAllCause((cause) =>
      Effect.logDebug("offline sweep put off", cause).pipe(Effect.annotateLogs("code", "SweepPutOff"))
    ),
    withKeptSpan("presence.sweep")
  )
}

/**
 * Starts two fibers in the scope: one judges memory, one sweeps the database. A third one takes over from replicas that
 * are gone, where the storage is shared.
 *
 * **Details**
 *
 * - Memory: rows whose grace is over, and rows without a connection that have been silent, become offline with the next
 *   flush. The fiber sleeps until one may be due.
 * - Database: every `sweepInterval`, rows stored as active that memory does not hold and that were last seen longer ago
 *   than `offlineTimeout` or before the start, in pages, one write each. A time that lies further ahead than the
 *   acceptance window does not keep a row online until it comes.
 * - Quiet: for `startGrace` after the start and after each pause (a stopped process, a suspended machine, a clock set
 *   forward) no row is judged, since none could show a sign of life.
 * - Takeover: with each beat of the lease, rows of replicas whose lease and the grace after it are over. After a lease
 *   that this replica lost itself, every row that is online here is written anew. In a shared storage a row is not
 *   offline because it was last seen before the start: another replica may serve it.
 * - Never fails: what could not be swept is found again by the next sweep.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: SweeperOptions
): Effect.Effect<void, never, PresenceRegistry | PresenceStorage | Scope.Scope> =>
  Effect.gen(function* () {
    const registry = yield* PresenceRegistry
    const storage = yield* PresenceStorage
    const isShared = storage.shared !== undefined
    const quiet = makeQuiet(Duration.toMillis(options.startGrace), yield* Clock.currentTimeMillis, isShared)
    const sweepMillis = Duration.toMillis(options.sweepInterval)
    const emit: Emit = (transitions) =>
      transitions.length === 0 || options.onTransitions === undefined ? Effect.void : options.onTransitions(transitions)
    const sweep = makeSweep(registry, storage, options, quiet, emit)
    const sleepThenSweep = Effect.gen(function* () {
      quiet.plan("database", (yield* Clock.currentTimeMillis) + sweepMillis)
      yield* Effect.sleep(sweepMillis)
      quiet.isQuiet(yield* Clock.currentTimeMillis)
      // A statement that waits for the permit is no pause of the process.
      quiet.plan("database", Number.POSITIVE_INFINITY)
      yield* sweep
    })

    yield* Effect.forkScoped(judgeMemory(registry, quiet))
    yield* Effect.forkScoped(Effect.forever(sleepThenSweep))
    if (storage.shared !== undefined) yield* Takeover.start(registry, storage.shared, emit)
  })
