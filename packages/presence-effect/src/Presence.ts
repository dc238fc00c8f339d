/**
 * Presence of machines and sessions: the facade that a server uses.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import type { BeatOutcome } from "./presence/Heartbeat.ts"
import * as OfflineSweeper from "./presence/OfflineSweeper.ts"
import type { ConfigInvalid, PresenceConfig } from "./presence/PresenceConfig.ts"
import { resolve } from "./presence/PresenceConfig.ts"
import * as PresenceFlusher from "./presence/PresenceFlusher.ts"
import type { PresenceKey } from "./presence/PresenceKey.ts"
import type { Transition } from "./presence/PresenceRegistry.ts"
import * as PresenceRegistry from "./presence/PresenceRegistry.ts"
import type { MemoryRows } from "./presence/PresenceStorage.ts"
import * as PresenceStorage from "./presence/PresenceStorage.ts"
import * as SqlitePresenceStorage from "./sqlite/SqlitePresenceStorage.ts"
import type { SqliteWriter } from "./writer/SqliteWriter.ts"

export type {
  /**
   * @category models
   * @since 0.1.0
   */
  BeatOutcome
} from "./presence/Heartbeat.ts"

export type {
  /**
   * @category models
   * @since 0.1.0
   */
  Transition
} from "./presence/PresenceRegistry.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface PresenceStatus {
  readonly trackedCount: number
  readonly capacity: number
  readonly pendingCount: number
  /** Rows that the database refused to write. Each is tried again later. */
  readonly parkedCount: number
  /** Epoch ms of the oldest heartbeat that is not in the database yet. */
  readonly oldestPendingMillis: number | undefined
  /** Epoch ms of the last tick that wrote everything it took, or found nothing to write. */
  readonly lastFlushMillis: number | undefined
  /** Ticks in a row that failed. */
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
     * Reports a sign of life that the client stamped with `claimedMillis` by its
     * own clock, which may be wrong: the claim dates the sign of life, silence is
     * counted from its arrival. A plain function, for hot callbacks: no effect
     * runs, no database is asked. The caller has verified that the row belongs
     * to the account.
     */
    readonly beat: (key: PresenceKey, claimedMillis: number) => BeatOutcome
    /**
     * The row did something now: anything that its own connection sends. As cheap
     * as a beat. Does not make an ended row active again; a beat does.
     *
     * @since 0.2.0
     */
    readonly seen: (key: PresenceKey) => BeatOutcome
    /**
     * A connection of the row opened. Counts as `seen`, and while it is open the
     * row is never considered silent: call `disconnected` when it stops answering.
     */
    readonly connected: (key: PresenceKey) => BeatOutcome
    /** A connection closed. After the last one, the grace begins. */
    readonly disconnected: (key: PresenceKey) => void
    /**
     * Ends the row: `active` is cleared at once in memory and by a control write
     * in the database; from now on only a newer heartbeat makes it active again.
     * Never fails: what could not be written now is written with the next tick.
     */
    readonly end: (key: PresenceKey, claimedMillis: number) => Effect.Effect<void>
    /** Forgets a row that was deleted. */
    readonly forget: (key: PresenceKey) => void
    /** `undefined`: not tracked, ask the database. */
    readonly lastSeen: (key: PresenceKey) => { readonly isOnline: boolean; readonly lastSeenMillis: number } | undefined
    /** Calls `listener` for each transition, after its commit, until the scope closes. */
    readonly onTransition: (listener: (transition: Transition) => void) => Effect.Effect<void, never, Scope.Scope>
    readonly status: Effect.Effect<PresenceStatus>
  }
>() {}

/**
 * Starts the flusher and the sweeper in the scope; closing it flushes for the
 * last time.
 *
 * **Details**
 *
 * - Durations are decoded once, here.
 * - When a listener throws, the error is logged and the other listeners are still called.
 *
 * **Errors**: `ConfigInvalid` names every invalid knob.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options?: Partial<PresenceConfig>
): Effect.Effect<Presence["Type"], ConfigInvalid, PresenceStorage.PresenceStorage | Scope.Scope> =>
  Effect.gen(function* () {
    const config = yield* resolve(options)
    const clock = yield* Effect.clock
    const storage = yield* PresenceStorage.PresenceStorage
    const registry = PresenceRegistry.make(config)
    const listeners = new Set<(transition: Transition) => void>()
    const now = () => clock.unsafeCurrentTimeMillis()

    const onTransitions = (transitions: ReadonlyArray<Transition>): Effect.Effect<void> =>
      Effect.forEach(
        transitions,
        (transition) =>
          Effect.forEach(
            listeners,
            (listener) =>
              Effect.catchAllDefect(
                Effect.sync(() => listener(transition)),
                (defect) =>
                  Effect.logError("a listener of presence transitions failed", defect).pipe(
                    Effect.annotateLogs("code", "PresenceListenerFailed")
                  )
              ),
            { discard: true }
          ),
        { discard: true }
      )

    const services = Context.make(PresenceRegistry.PresenceRegistry, registry).pipe(
      Context.add(PresenceStorage.PresenceStorage, storage),
      Context.add(Scope.Scope, yield* Effect.scope)
    )
    const flusher = yield* Effect.provide(PresenceFlusher.make({ ...config, onTransitions }), services)
    yield* Effect.provide(OfflineSweeper.make({ ...config, onTransitions }), services)

    return Presence.of({
      beat: (key, claimedMillis) => registry.beat(key, claimedMillis, now()),
      seen: (key) => registry.seen(key, now()),
      connected: (key) => registry.connected(key, now()),
      disconnected: (key) => registry.disconnected(key, now()),
      end: (key, claimedMillis) =>
        Effect.suspend(() => {
          const nowMillis = now()
          const outcome = registry.end(key, claimedMillis, nowMillis)
          if (outcome === "ended") return flusher.flushKey(key, config.endLane)
          if (outcome === "foreign") return Effect.void
          // The registry is full, so the end is written now or lost. The row is not tracked, so no tick overwrites it.
          const entry = { ...key, seenAtMillis: endOf(claimedMillis, nowMillis), state: "ended" as const }
          return storage.flush({ entries: [entry] }, config.endLane).pipe(
            Effect.asVoid,
            Effect.catchAll((failure) =>
              Effect.logWarning("an end is lost: presence is full and the write failed", failure).pipe(
                Effect.annotateLogs("code", "PresenceFull")
              )
            )
          )
        }),
      forget: (key) => registry.forget(key),
      lastSeen: (key) => registry.find(key),
      onTransition: (listener) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            // A wrapper of its own, so that a listener given twice is called twice and removed once.
            const own = (transition: Transition) => listener(transition)
            listeners.add(own)
            return own
          }),
          (own) => Effect.sync(() => listeners.delete(own))
        ).pipe(Effect.asVoid),
      status: Effect.map(flusher.status, (status): PresenceStatus => ({
        trackedCount: registry.trackedCount(),
        capacity: registry.capacity,
        pendingCount: registry.pendingCount(),
        parkedCount: registry.parkedCount(),
        oldestPendingMillis: registry.oldestPendingMillis(),
        lastFlushMillis: status.lastFlushMillis,
        consecutiveFlushFailures: status.consecutiveFailures
      }))
    })
  })

const endOf = (claimedMillis: number, nowMillis: number): number =>
  Number.isFinite(claimedMillis) && claimedMillis >= 0 ? Math.trunc(Math.min(claimedMillis, nowMillis)) : nowMillis

/**
 * Presence over any storage.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options?: Partial<PresenceConfig>
): Layer.Layer<Presence, ConfigInvalid, PresenceStorage.PresenceStorage> => Layer.scoped(Presence, make(options))

/**
 * Presence in SQLite. The knobs `chunkRows` and `chunkHold` reach the storage.
 *
 * **Errors**
 *
 * - `ConfigInvalid`, `StorageInvalid`: a knob or a name does not fit.
 * - `StorageUnreadable`: the tables could not be read.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerSqlite = (
  options?: Partial<PresenceConfig>,
  tables?: Partial<Pick<SqlitePresenceStorage.Options, "session" | "machine">>
): Layer.Layer<
  Presence,
  ConfigInvalid | SqlitePresenceStorage.StorageInvalid | PresenceStorage.StorageUnreadable,
  SqliteWriter | SqlitePresenceStorage.PresenceReader
> =>
  Layer.unwrapEffect(
    Effect.map(resolve(options), (config) =>
      Layer.provide(
        layer(config),
        SqlitePresenceStorage.layer({
          ...tables,
          chunkRows: config.chunkRows,
          chunkHold: config.chunkHold,
          lane: config.lane,
          endLane: config.endLane
        })
      )
    )
  )

/**
 * Presence over a store in memory, for tests of code that uses presence. Give it
 * `rows` to define which rows exist and to see what was written.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory = (
  options?: Partial<PresenceConfig>,
  rows?: MemoryRows
): Layer.Layer<Presence, ConfigInvalid> => Layer.provide(layer(options), PresenceStorage.layerMemory(rows))
