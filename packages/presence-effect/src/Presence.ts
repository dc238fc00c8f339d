/**
 * Presence of the rows of declared kinds: the facade that a server uses.
 *
 * @example
 * // Transitions as a stream: a reader that falls behind by more than 1,000 of them loses the oldest.
 * import * as Effect from "effect/Effect"
 * import * as Stream from "effect/Stream"
 * import { deepStrictEqual } from "node:assert/strict"
 * import * as Presence from "presence-effect/Presence"
 * import * as PresenceStorage from "presence-effect/presence/PresenceStorage"
 *
 * class Doors extends Presence.Tag("example/Doors", { door: {} })<Doors>() {}
 *
 * const program = Effect.gen(function* () {
 *   const doors = yield* Doors
 *   const transitions = Stream.asyncPush<Presence.Transition>(
 *     (emit) => doors.onTransition((transition) => void emit.single(transition)),
 *     { bufferSize: 1_000, strategy: "sliding" }
 *   )
 *   yield* Effect.fork(Effect.delay(doors.end({ kind: "door", id: "front" }, 1_000), "10 millis"))
 *   return yield* Stream.runHead(transitions)
 * })
 * const rows = PresenceStorage.memoryRows(Doors.kinds)
 * rows.set("door", { id: "front", active: true, lastActiveMillis: 0 })
 * const first = await Effect.runPromise(Effect.provide(Effect.flatten(program), Presence.layerMemory(Doors, {}, rows)))
 * deepStrictEqual([first.key.id, first.reason], ["front", "ended"])
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
import type { KeyOf, PresenceKinds } from "./presence/PresenceKind.ts"
import type { Transition } from "./presence/PresenceRegistry.ts"
import * as PresenceRegistry from "./presence/PresenceRegistry.ts"
import * as Replica from "./presence/Replica.ts"
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
  /**
   * This process among those that share the database. Absent: it is alone.
   *
   * @since 0.4.0
   */
  readonly replica?: Replica.ReplicaStatus
}

/**
 * Presence of rows with keys of the type `Key`: those of the declared kinds. A key of another kind does not compile;
 * in a program without types, a report of one throws `KindUndeclared`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Presence<Key extends PresenceKey = PresenceKey> {
  /**
   * Reports a sign of life that the client stamped with `claimedMillis` by its
   * own clock, which may be wrong: the claim dates the sign of life, silence is
   * counted from its arrival. A plain function, for hot callbacks: no effect
   * runs, no database is asked. The caller has verified that the row belongs
   * to the account.
   */
  readonly beat: (key: Key, claimedMillis: number) => BeatOutcome
  /**
   * The row did something now: anything that its own connection sends. As cheap
   * as a beat. Does not make an ended row active again; a beat does.
   *
   * @since 0.2.0
   */
  readonly seen: (key: Key) => BeatOutcome
  /**
   * A connection of the row opened. Counts as `seen`, and while it is open the
   * row is never considered silent: call `disconnected` when it stops answering.
   */
  readonly connected: (key: Key) => BeatOutcome
  /** A connection closed. After the last one, the grace begins. */
  readonly disconnected: (key: Key) => void
  /**
   * Ends the row: `active` is cleared at once in memory and by a control write
   * in the database; from now on only a newer heartbeat makes it active again.
   * Never fails: what could not be written now is written with the next tick.
   */
  readonly end: (key: Key, claimedMillis: number) => Effect.Effect<void>
  /** Forgets a row that was deleted. */
  readonly forget: (key: Key) => void
  /** `undefined`: not tracked, ask the database. */
  readonly lastSeen: (key: Key) => { readonly isOnline: boolean; readonly lastSeenMillis: number } | undefined
  /** Calls `listener` for each transition, after its commit, until the scope closes. */
  readonly onTransition: (listener: (transition: Transition<Key>) => void) => Effect.Effect<void, never, Scope.Scope>
  /**
   * Writes everything that waits now, as a tick does, and ends when it was tried: for a host that is about to read the
   * rows, and for tests. Never fails: what could not be written waits for the next tick, and `status` counts it.
   *
   * @since 0.3.0
   */
  readonly flush: Effect.Effect<void>
  readonly status: Effect.Effect<PresenceStatus>
}

/**
 * A tag for presence of declared kinds.
 *
 * @category models
 * @since 0.3.0
 */
export interface PresenceTag<Self, Id extends string, Kinds extends PresenceKinds> extends Context.TagClass<
  Self,
  Id,
  Presence<KeyOf<Kinds>>
> {
  readonly kinds: Kinds
}

/**
 * The tag of a host's own presence, and the declaration of its kinds. A program with several databases has one tag for
 * each.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import * as Presence from "presence-effect/Presence"
 *
 * class Devices extends Presence.Tag("my-server/Devices", {
 *   device: { table: "devices", accountId: "owner" },
 *   sensor: {}
 * })<Devices>() {}
 *
 * const beats = Effect.map(Devices, (devices) => [
 *   devices.beat({ kind: "device", accountId: "account 1", id: "laptop" }, Date.now()),
 *   devices.beat({ kind: "sensor", id: "door" }, Date.now())
 * ])
 *
 * Effect.runPromise(Effect.provide(beats, Presence.layerMemory(Devices))).then(console.log)
 *
 * @category services
 * @since 0.3.0
 */
export const Tag =
  <const Id extends string, const Kinds extends PresenceKinds>(id: Id, kinds: Kinds) =>
  <Self>(): PresenceTag<Self, Id, Kinds> =>
    Object.assign(Context.Tag(id)<Self, Presence<KeyOf<Kinds>>>(), { kinds })

/**
 * Starts the flusher and the sweeper in the scope; closing it flushes for the
 * last time.
 *
 * **Details**
 *
 * - Durations are decoded once, here.
 * - When a listener throws, the error is logged and the other listeners are still called.
 * - Over a storage that several replicas share, all times are by the clock of the database, also those of transitions
 *   and of `lastSeen`.
 *
 * **Errors**: `ConfigInvalid` names every invalid knob.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <const Kinds extends PresenceKinds>(
  kinds: Kinds,
  options?: Partial<PresenceConfig<keyof Kinds & string>>
): Effect.Effect<Presence<KeyOf<Kinds>>, ConfigInvalid, PresenceStorage.PresenceStorage | Scope.Scope> =>
  Effect.flatMap(PresenceStorage.PresenceStorage, ({ shared }) =>
    shared === undefined
      ? build(kinds, options)
      : Effect.clockWith((clock) =>
          Effect.withClock(build(kinds, options), Replica.databaseClock(shared.replica, clock))
        )
  )

const build = <const Kinds extends PresenceKinds>(
  kinds: Kinds,
  options?: Partial<PresenceConfig<keyof Kinds & string>>
): Effect.Effect<Presence<KeyOf<Kinds>>, ConfigInvalid, PresenceStorage.PresenceStorage | Scope.Scope> =>
  Effect.gen(function* () {
    const config = yield* resolve(options, undefined, kinds)
    const clock = yield* Effect.clock
    const storage = yield* PresenceStorage.PresenceStorage
    const registry = PresenceRegistry.make(kinds, config)
    const listeners = new Set<(transition: Transition<KeyOf<Kinds>>) => void>()
    const replica =
      storage.shared === undefined
        ? Effect.succeed({})
        : Effect.map(storage.shared.replica.status, (replica) => ({ replica }))
    const now = () => clock.unsafeCurrentTimeMillis()

    const onTransitions = (transitions: ReadonlyArray<Transition>): Effect.Effect<void> =>
      Effect.forEach(
        // Only rows of declared kinds are tracked, and only their tables are swept.
        transitions as ReadonlyArray<Transition<KeyOf<Kinds>>>,
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

    return {
      beat: (key, claimedMillis) => registry.beat(key, claimedMillis, now()),
      seen: (key) => registry.seen(key, now()),
      connected: (key) => registry.connected(key, now()),
      disconnected: (key) => registry.disconnected(key, now()),
      end: (key, claimedMillis) =>
        Effect.suspend(() => {
          const nowMillis = now()
          const outcome = registry.end(key, claimedMillis, nowMillis)
          if (outcome === "ended") return flusher.flushKey(key, config.endLane)
          if (outcome !== "full") return Effect.void
          // The registry is full, so the end is written now or lost. The row is not tracked, so no tick overwrites it.
          const entry = { ...key, seenAtMillis: endOf(claimedMillis, nowMillis), state: "ended" as const }
          return storage.flush({ entries: [entry] }, config.endLane).pipe(
            Effect.asVoid,
            Effect.catchAll((failure) =>
              Effect.logWarning("an end is lost: presence is full and the write failed", failure).pipe(
                Effect.annotateLogs("code", "PresenceFull")
              )
            ),
            Effect.withClock(clock)
          )
        }),
      forget: (key) => registry.forget(key),
      lastSeen: (key) => registry.find(key),
      onTransition: (listener) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            // A wrapper of its own, so that a listener given twice is called twice and removed once.
            const own = (transition: Transition<KeyOf<Kinds>>) => listener(transition)
            listeners.add(own)
            return own
          }),
          (own) => Effect.sync(() => listeners.delete(own))
        ).pipe(Effect.asVoid),
      flush: flusher.tick,
      status: Effect.map(Effect.zip(flusher.status, replica), ([status, replica]): PresenceStatus => ({
        trackedCount: registry.trackedCount(),
        capacity: registry.capacity,
        pendingCount: registry.pendingCount(),
        parkedCount: registry.parkedCount(),
        oldestPendingMillis: registry.oldestPendingMillis(),
        lastFlushMillis: status.lastFlushMillis,
        consecutiveFlushFailures: status.consecutiveFailures,
        ...replica
      }))
    }
  })

const endOf = (claimedMillis: number, nowMillis: number): number =>
  Number.isFinite(claimedMillis) && claimedMillis >= 0 ? Math.trunc(Math.min(claimedMillis, nowMillis)) : nowMillis

/**
 * Presence over any storage.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <Self, Id extends string, Kinds extends PresenceKinds>(
  tag: PresenceTag<Self, Id, Kinds>,
  options?: Partial<PresenceConfig<keyof Kinds & string>>
): Layer.Layer<Self, ConfigInvalid, PresenceStorage.PresenceStorage> => Layer.scoped(tag, make(tag.kinds, options))

/**
 * Presence in SQLite, in the tables of the declared kinds. The knobs `chunkRows` and `chunkHold` reach the storage.
 *
 * **Errors**
 *
 * - `ConfigInvalid`, `StorageInvalid`: a knob, a kind or a name does not fit.
 * - `StorageUnreadable`: the tables could not be read.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerSqlite = <Self, Id extends string, Kinds extends PresenceKinds>(
  tag: PresenceTag<Self, Id, Kinds>,
  options?: Partial<PresenceConfig<keyof Kinds & string>>
): Layer.Layer<
  Self,
  ConfigInvalid | SqlitePresenceStorage.StorageInvalid | PresenceStorage.StorageUnreadable,
  SqliteWriter | SqlitePresenceStorage.PresenceReader
> =>
  Layer.unwrapEffect(
    Effect.map(resolve(options, undefined, tag.kinds), (config) =>
      Layer.provide(
        layer(tag, config),
        SqlitePresenceStorage.layer({
          kinds: tag.kinds,
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
 * `rows` to define which rows exist and to see what was written; without them every row is missing.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory = <Self, Id extends string, Kinds extends PresenceKinds>(
  tag: PresenceTag<Self, Id, Kinds>,
  options?: Partial<PresenceConfig<keyof Kinds & string>>,
  rows?: MemoryRows
): Layer.Layer<Self, ConfigInvalid> =>
  Layer.provide(layer(tag, options), PresenceStorage.layerMemory(rows ?? PresenceStorage.memoryRows(tag.kinds)))
