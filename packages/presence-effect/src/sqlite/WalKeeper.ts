/**
 * Keeps the write-ahead log short without making a writer wait.
 *
 * SQLite's automatic checkpoint runs inside a commit, which then pays for the
 * disk; it is switched off. The keeper looks at the log and has it copied from
 * another connection and thread. The next write starts the log anew when all of
 * it is copied, so the copy is repeated until nothing was committed meanwhile:
 * what came since the last one is little and takes a moment. Only where writes
 * never pause for so long, and the log has become large, does the writing
 * connection copy the rest in the maintenance lane, and writes wait for its two
 * syncs. No checkpoint ever waits for a lock: one that may wait holds the
 * write lock meanwhile.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import { deepStrictEqual } from "node:assert/strict"
 * import * as WalKeeper from "presence-effect/sqlite/WalKeeper"
 * import * as SimulatedConnection from "presence-effect/testing/SimulatedConnection"
 * import * as Lane from "presence-effect/writer/Lane"
 * import * as SqliteWriter from "presence-effect/writer/SqliteWriter"
 * import * as Write from "presence-effect/writer/Write"
 *
 * const program = Effect.gen(function* () {
 *   const { connection, layer } = yield* SimulatedConnection.make({ framesPerStatement: 500 })
 *   const services = WalKeeper.layer({ checkpointBytes: 1_000_000 }).pipe(
 *     Layer.provideMerge(SqliteWriter.layer()),
 *     Layer.provide(layer)
 *   )
 *   const writeAndLook = Effect.gen(function* () {
 *     const writer = yield* SqliteWriter.SqliteWriter
 *     yield* writer.write(Lane.data, Write.statement("DELETE FROM Message"))
 *     // In a server the fiber of the layer looks every 500 ms.
 *     yield* Effect.flatMap(WalKeeper.WalKeeper, ({ look }) => look)
 *     const { checkpointedFrames, logFrames } = yield* connection.logState
 *     deepStrictEqual({ checkpointedFrames, logFrames }, { checkpointedFrames: 500, logFrames: 500 })
 *   })
 *   yield* Effect.provide(writeAndLook, services)
 * })
 * await Effect.runPromise(program)
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { withKeptSpan } from "../internal/keptSpan.ts"
import { withinFinalizer } from "../internal/withinFinalizer.ts"
import { DatabaseName, labelled } from "../writer/DatabaseName.ts"
import * as Lane from "../writer/Lane.ts"
import * as SqliteMetrics from "./SqliteMetrics.ts"
import { type CheckpointResult, type EngineFault, SqliteConnection } from "../writer/SqliteConnection.ts"
import { SqliteWriter } from "../writer/SqliteWriter.ts"
import type { WriterError } from "../writer/WriterError.ts"
import * as WriterPolicy from "../writer/WriterPolicy.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface WalKeeperOptions {
  /** Lane of the finishing checkpoint. */
  readonly lane: Lane.Lane
  /** Time between two looks at the log. A look copies nothing. */
  readonly lookInterval: Duration.DurationInput
  /** Bytes not yet copied that start a checkpoint at once. */
  readonly checkpointBytes: number
  /** Copies of what came meanwhile, until one finds nothing. */
  readonly copyAttempts: number
  /** Time between two of them. */
  readonly copyPause: Duration.DurationInput
  /**
   * Log size, in bytes, from which on the writing connection copies what the copies left. At most half of
   * `logBytesMax`. 0: each time.
   */
  readonly finishBytes: number
  /** Time after which even a few bytes are copied. */
  readonly checkpointInterval: Duration.DurationInput
  /** Log size that must not be passed unless a reader pins the log, in bytes. Above it a pin is reported. */
  readonly logBytesMax: number
  /** A log larger than `checkpointBytes` is emptied when nothing was committed for so long. */
  readonly idleAfter: Duration.DurationInput
  /** Longest wait for the last checkpoint when the scope closes. */
  readonly drainTimeout: Duration.DurationInput
}

/**
 * Keeps the log of a busy box near 30 MB, and copies once a minute on a quiet one.
 *
 * @category presets
 * @since 0.1.0
 */
export const defaults: WalKeeperOptions = {
  lane: Lane.maintenance,
  lookInterval: "500 millis",
  // SQLite's own threshold of 1 000 pages.
  checkpointBytes: 4 * 1024 * 1024,
  copyAttempts: 8,
  copyPause: "10 millis",
  finishBytes: 32 * 1024 * 1024,
  checkpointInterval: "60 seconds",
  logBytesMax: 64 * 1024 * 1024,
  idleAfter: "2 minutes",
  drainTimeout: "2 seconds"
}

/**
 * @category models
 * @since 0.1.0
 */
export interface WalStatus {
  readonly logBytes: number
  readonly databaseBytes: number
  /** Since when (epoch ms) a reader has kept a log above `logBytesMax` from being copied. */
  readonly pinnedSinceMillis: number | undefined
  /** Epoch ms of the last checkpoint that copied all of the log. */
  readonly lastCheckpointMillis: number | undefined
}

/**
 * @category services
 * @since 0.1.0
 */
export class WalKeeper extends Context.Tag("presence-effect/sqlite/WalKeeper")<
  WalKeeper,
  {
    readonly status: Effect.Effect<WalStatus>
    /** One look, and what it asks for. The fiber does this every `lookInterval`. */
    readonly look: Effect.Effect<void>
  }
>() {}

const pendingBytes = ({ checkpointedFrames, frameBytes, logFrames }: CheckpointResult): number =>
  Math.max(0, logFrames - checkpointedFrames) * frameBytes

const isCopied = ({ checkpointedFrames, logFrames }: CheckpointResult): boolean => checkpointedFrames >= logFrames

/** Between two readings of the wall clock. One that was set back must not put anything off for as long as that. */
const hasPassed = (millis: number, since: number, now: number): boolean => Math.abs(now - since) >= millis

/**
 * Builds the keeper. Its fiber belongs to the scope; when that closes, the log
 * is copied and emptied once more, within `drainTimeout`. Dies when the policy of
 * the writer has no such lane.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: Partial<WalKeeperOptions> = {}
): Effect.Effect<WalKeeper["Type"], never, SqliteConnection | SqliteWriter | Scope.Scope> =>
  Effect.gen(function* () {
    const knobs = { ...defaults, ...options }
    const checkpointIntervalMillis = Duration.toMillis(knobs.checkpointInterval)
    const finishBytes = Math.min(knobs.finishBytes, knobs.logBytesMax / 2)
    const idleAfterMillis = Duration.toMillis(knobs.idleAfter)
    const connection = yield* SqliteConnection
    const writer = yield* SqliteWriter
    WriterPolicy.termsOf(writer.policy, knobs.lane)
    const label = labelled(yield* DatabaseName)
    let status: WalStatus = {
      logBytes: 0,
      databaseBytes: 0,
      pinnedSinceMillis: undefined,
      lastCheckpointMillis: undefined
    }
    let lastRoundMillis = yield* Clock.currentTimeMillis
    /** Frames of the log when all of it was copied the last time: the next write should have started it anew. */
    let completeFrames = Number.POSITIVE_INFINITY
    /** It did not: readers that overlap let all of it be copied, but there always was one that used it. */
    let isKept = false

    const measure = Effect.gen(function* () {
      const { databaseBytes, logBytes } = yield* connection.identity
      status = { ...status, logBytes, databaseBytes }
      yield* Metric.set(label(SqliteMetrics.walBytes), logBytes)
      yield* Metric.set(label(SqliteMetrics.databaseBytes), databaseBytes)
    })

    const isLarge = ({ frameBytes, logFrames }: CheckpointResult): boolean => logFrames * frameBytes >= finishBytes

    /** Copies until nothing is left, or the log begins anew. Gives up on what a reader pins: it stays pinned. */
    const copy = Effect.gen(function* () {
      for (let attempt = 1; ; attempt++) {
        const copied = yield* withKeptSpan("sqlite.copy_log")(connection.copyLog)
        const state = yield* connection.logState
        const isAnew = state.logFrames < copied.logFrames
        if (isCopied(state) || isAnew) return { state, isComplete: true }
        if (!isCopied(copied) || isLarge(state) || attempt >= knobs.copyAttempts) return { state, isComplete: false }
        yield* Effect.sleep(knobs.copyPause)
      }
    })

    const finish = Effect.gen(function* () {
      const state = yield* writer.checkpoint(knobs.lane, "passive")
      if (state.isBusy) yield* Metric.increment(label(SqliteMetrics.checkpointBusy))
      return { state, isComplete: isCopied(state) }
    })

    const checkpoint = Effect.gen(function* () {
      lastRoundMillis = yield* Clock.currentTimeMillis
      const copied = yield* copy
      const { isComplete, state } = !copied.isComplete && isLarge(copied.state) ? yield* finish : copied
      if (isComplete) status = { ...status, lastCheckpointMillis: lastRoundMillis }
      isKept = state.logFrames > completeFrames
      completeFrames = isComplete ? state.logFrames : Number.POSITIVE_INFINITY
      yield* reportPin((isKept || !isComplete) && state.logFrames * state.frameBytes > knobs.logBytesMax)
    })

    const reportPin = (isPinned: boolean) =>
      Effect.gen(function* () {
        const since = status.pinnedSinceMillis
        if (isPinned && since === undefined) {
          status = { ...status, pinnedSinceMillis: lastRoundMillis }
          yield* Effect.logWarning(
            `a reader pins the write-ahead log at ${status.logBytes} bytes; it cannot shrink until no reader is left`
          )
        }
        if (!isPinned && since !== undefined) {
          status = { ...status, pinnedSinceMillis: undefined }
          yield* Effect.logInfo("the write-ahead log is no longer pinned")
        }
      })

    const truncate = Effect.gen(function* () {
      const { isBusy } = yield* writer.checkpoint(knobs.lane, "truncate")
      if (isBusy) yield* Metric.increment(label(SqliteMetrics.checkpointBusy))
      yield* measure
    })

    const lookAround = Effect.gen(function* () {
      yield* measure
      const now = yield* Clock.currentTimeMillis
      const state = yield* connection.logState
      const pending = pendingBytes(state)
      const isDue = hasPassed(checkpointIntervalMillis, lastRoundMillis, now)
      if (pending >= knobs.checkpointBytes || (pending > 0 && isDue)) return yield* checkpoint
      // What waits may be pinned: the verdict of the last checkpoint stands until the next.
      if (pending > 0) return
      if (!isKept || state.logFrames < completeFrames) yield* reportPin(false)
      if (status.logBytes <= knobs.checkpointBytes) return
      const { lastCommitMillis } = yield* writer.status
      if (hasPassed(idleAfterMillis, lastCommitMillis ?? 0, now)) yield* truncate
    })

    // Defects too: they must not end the fiber that keeps the log short.
    const patient = (self: Effect.Effect<void, EngineFault | WriterError>) =>
      Effect.catchAllCause(self, (cause) => Effect.logDebug("checkpoint left for later", cause))

    yield* Effect.addFinalizer(() =>
      withinFinalizer(knobs.drainTimeout)(patient(Effect.zipRight(connection.copyLog, truncate)))
    )
    const look = patient(lookAround)
    yield* Effect.forkScoped(Effect.schedule(look, Schedule.spaced(knobs.lookInterval)))
    return WalKeeper.of({ look, status: Effect.sync(() => status) })
  })

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: Partial<WalKeeperOptions> = {}
): Layer.Layer<WalKeeper, never, SqliteConnection | SqliteWriter> => Layer.scoped(WalKeeper, make(options))
