/**
 * Who has been silent too long: in memory, and in the database.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { Transition } from "./PresenceRegistry.ts"
import { PresenceRegistry } from "./PresenceRegistry.ts"
import type { BelievableTimes, StaleCursor, StalePage } from "./PresenceStorage.ts"
import { PresenceStorage } from "./PresenceStorage.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface SweeperOptions {
  /** Silence after which a row is offline. */
  readonly offlineTimeout: Duration.DurationInput
  /** A time that lies further ahead than this is from before the clock was set back. */
  readonly acceptanceWindow: Duration.DurationInput
  /** Time between two sweeps of the database. */
  readonly sweepInterval: Duration.DurationInput
  /** Time to come back after the last connection closed. Memory is looked at thrice as often, at least each second. */
  readonly disconnectGrace: Duration.DurationInput
  /** Nobody is shown offline so long after the start, and after a pause of the process. */
  readonly startGrace: Duration.DurationInput
  /** Runs after the commit that made the transitions happen. */
  readonly onTransitions?: (transitions: ReadonlyArray<Transition>) => Effect.Effect<void>
}

const kinds = ["session", "machine"] as const

/** Rows judged by one statement. */
const pageRows = 500

/** A wake-up so much later than planned means that the process stood still, or that the clock was set. */
const pauseMillis = 1_000

/**
 * Starts two fibers in the scope: one looks at memory, one sweeps the database.
 *
 * **Details**
 *
 * - Memory: rows whose grace is over or which have been silent become offline with the next flush.
 * - Database: every `sweepInterval`, rows stored as active that nobody tracks, in pages, one write each, in the lane
 *   `presence`. A row that memory holds online, or has a change of, is left alone. A time that lies further ahead than
 *   the acceptance window does not keep a row online until it comes.
 * - Quiet: for `startGrace` after the start and after each pause (a stopped process, a suspended machine, a clock set
 *   forward) nobody is judged, since nobody could show a sign of life.
 * - Fails never: what could not be swept is found again by the next sweep.
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
    const timeoutMillis = Duration.toMillis(options.offlineTimeout)
    const windowMillis = Duration.toMillis(options.acceptanceWindow)
    const quietMillis = Duration.toMillis(options.startGrace)
    const stepMillis = Math.max(1, Math.min(1_000, Duration.toMillis(options.disconnectGrace) / 3))
    const startedAt = yield* Clock.currentTimeMillis
    let quietUntil = startedAt + quietMillis
    let plannedAt = startedAt + stepMillis

    const emit = (transitions: ReadonlyArray<Transition>): Effect.Effect<void> =>
      transitions.length === 0 || options.onTransitions === undefined ? Effect.void : options.onTransitions(transitions)

    /** Asked before every judgement, by both fibers: whoever wakes up first after a pause must notice it. */
    const isQuiet = (nowMillis: number): boolean => {
      if (nowMillis - plannedAt > pauseMillis) {
        quietUntil = nowMillis + quietMillis
        plannedAt = nowMillis + stepMillis
      }
      // After the clock was set back the quiet must not last for as long as that.
      quietUntil = Math.min(quietUntil, nowMillis + quietMillis)
      return nowMillis < quietUntil
    }

    const step = Effect.map(Clock.currentTimeMillis, (nowMillis) => {
      if (!isQuiet(nowMillis)) registry.dueOffline(nowMillis)
      plannedAt = nowMillis + stepMillis
    })

    const sweepPage = (page: StalePage, believable: BelievableTimes, nowMillis: number) =>
      Effect.uninterruptibleMask((restore) => {
        const keys = page.rows.map(({ key }) => key).filter((key) => !registry.isHeld(key))
        if (keys.length === 0) return Effect.void
        // What was committed is told, also when the scope closes now.
        return Effect.flatMap(restore(storage.markOffline(keys, believable)), (changed) => {
          const transitions: Array<Transition> = []
          for (const { key, lastSeenMillis } of changed) {
            // It came back while the statement waited: it is written again, and nobody hears of it.
            if (registry.reactivate(key)) continue
            transitions.push({ key, lastSeenMillis: Math.min(lastSeenMillis, nowMillis), reason: "silent" })
          }
          return emit(transitions)
        })
      })

    const sweep = Effect.gen(function* () {
      const nowMillis = yield* Clock.currentTimeMillis
      const believable = { firstMillis: nowMillis - timeoutMillis, lastMillis: nowMillis + windowMillis }
      for (const kind of kinds) {
        let after: StaleCursor | undefined = undefined
        do {
          if (isQuiet(yield* Clock.currentTimeMillis)) return
          const page: StalePage = yield* storage.findStale(kind, believable, pageRows, after)
          if (isQuiet(yield* Clock.currentTimeMillis)) return
          yield* sweepPage(page, believable, nowMillis)
          after = page.next
        } while (after !== undefined)
      }
    }).pipe(
      Effect.catchAllCause((cause) =>
        Effect.logDebug("offline sweep put off", cause).pipe(Effect.annotateLogs("code", "SweepPutOff"))
      ),
      Effect.withSpan("presence.sweep")
    )

    yield* Effect.forkScoped(Effect.schedule(step, Schedule.spaced(stepMillis)))
    yield* Effect.forkScoped(Effect.schedule(sweep, Schedule.spaced(options.sweepInterval)))
  })

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: SweeperOptions): Layer.Layer<never, never, PresenceRegistry | PresenceStorage> =>
  Layer.scopedDiscard(make(options))
