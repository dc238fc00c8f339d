/**
 * Presence of machines and sessions: the facade a server talks to.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { PresenceKey } from "./PresenceKey.ts"

/**
 * What became of a heartbeat.
 *
 * - `online`: accepted, and the row was not online before.
 * - `alive`: accepted; the row was online already.
 * - `invalid`: the time is no finite, non-negative number. Ignored.
 * - `ancient`: older than the acceptance window. Ignored.
 * - `ended`: not newer than the end of the row. Ignored: nothing rises from the dead.
 * - `foreign`: the id is tracked for another account. Ignored.
 * - `full`: a new row, and the registry holds as many as it may. Ignored.
 *
 * @category models
 * @since 0.1.0
 */
export type BeatOutcome = "online" | "alive" | "invalid" | "ancient" | "ended" | "foreign" | "full"

/**
 * A row became offline in the database: silent for too long, disconnected for
 * longer than the grace, or ended.
 *
 * @category models
 * @since 0.1.0
 */
export interface Transition {
  readonly key: PresenceKey
  readonly lastSeenMillis: number
  readonly reason: "silent" | "disconnected" | "ended"
}

/**
 * @category models
 * @since 0.1.0
 */
export interface PresenceStatus {
  readonly trackedCount: number
  readonly capacity: number
  readonly pendingCount: number
  /** Epoch ms of the oldest heartbeat that is not in the database yet. */
  readonly oldestPendingMillis: number | undefined
  /** Epoch ms of the last flush that wrote everything it took, or found nothing to write. */
  readonly lastFlushMillis: number | undefined
  readonly consecutiveFlushFailures: number
}

/**
 * @category services
 * @since 0.1.0
 */
export class Presence extends Context.Tag("presence-effect/Presence")<
  Presence,
  {
    /**
     * Reports a sign of life that the client stamped with `claimedMillis`. A
     * plain function, for hot callbacks: no effect runs, no database is asked.
     * The caller has verified that the row belongs to the account.
     */
    readonly beat: (key: PresenceKey, claimedMillis: number) => BeatOutcome
    /** A connection of the row opened. Counts as a sign of life now. */
    readonly connected: (key: PresenceKey) => BeatOutcome
    /** A connection closed. After the last one, the grace begins. */
    readonly disconnected: (key: PresenceKey) => void
    /**
     * Ends the row: `active` is cleared at once in memory and by a control write
     * in the database; heartbeats that are not newer are ignored from now on.
     * Never fails: what could not be written now goes with the next tick.
     */
    readonly end: (key: PresenceKey, claimedMillis: number) => Effect.Effect<void>
    /** Forgets a row that was deleted. */
    readonly forget: (key: PresenceKey) => void
    /** `undefined`: not tracked, ask the database. */
    readonly lastSeen: (
      key: PresenceKey
    ) => { readonly isOnline: boolean; readonly lastSeenMillis: number } | undefined
    /** Calls `listener` for each transition, after its commit, until the scope closes. */
    readonly onTransition: (listener: (transition: Transition) => void) => Effect.Effect<void, never, Scope.Scope>
    readonly status: Effect.Effect<PresenceStatus>
  }
>() {}
