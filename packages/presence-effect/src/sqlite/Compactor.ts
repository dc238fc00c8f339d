/**
 * The keeper of the size of the file.
 *
 * A file grows when rows come and keeps its size when they go: new rows use the pages that are free. When much of the
 * file is free, this keeper returns it to the file system, a few pages per commit, at moments when no write waits for
 * the writer. The file is shorter after the next checkpoint.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import { strictEqual } from "node:assert/strict"
 * import * as Compactor from "presence-effect/sqlite/Compactor"
 * import * as SimulatedConnection from "presence-effect/testing/SimulatedConnection"
 * import * as SqliteWriter from "presence-effect/writer/SqliteWriter"
 *
 * const program = Effect.gen(function* () {
 *   const space = { pageBytes: 4_096, pageCount: 1_000, freePages: 640, isShrinkable: true }
 *   const { connection, layer } = yield* SimulatedConnection.make({ space })
 *   const keeper = Compactor.layer({ startBytes: 1_000_000, keepBytes: 0, pause: 0 })
 *   const services = keeper.pipe(Layer.provide(SqliteWriter.layer()), Layer.provide(layer))
 *   // In a server the fiber of the layer looks every 10 s.
 *   yield* Effect.provide(
 *     Effect.flatMap(Compactor.Compactor, ({ look }) => look),
 *     services
 *   )
 *   strictEqual((yield* connection.space).pageCount, 360)
 * })
 * await Effect.runPromise(program)
 *
 * @since 0.3.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { DatabaseName, labelled } from "../writer/DatabaseName.ts"
import * as Lane from "../writer/Lane.ts"
import { type EngineFault, type Space, SqliteConnection } from "../writer/SqliteConnection.ts"
import { SqliteWriter } from "../writer/SqliteWriter.ts"
import type { WriterError } from "../writer/WriterError.ts"
import * as WriterPolicy from "../writer/WriterPolicy.ts"
import * as SqliteMetrics from "./SqliteMetrics.ts"

/**
 * @category models
 * @since 0.3.0
 */
export interface CompactorOptions {
  /** Lane of the steps. */
  readonly lane: Lane.Lane
  /** Time between two looks at the file. */
  readonly lookInterval: Duration.DurationInput
  /** The file is compacted when this many bytes of it are free ... */
  readonly startBytes: number
  /** ... and this share of it, between 0 and 1. */
  readonly startShare: number
  /** Free bytes that stay in the file for new rows. */
  readonly keepBytes: number
  /** Pages of one step, and so the longest that a write waits for it. */
  readonly stepPages: number
  /** Time between two steps. */
  readonly pause: Duration.DurationInput
  /** Time to the next try while others wait for the writer, or the log is too long. */
  readonly busyPause: Duration.DurationInput
  /** Bytes of the log that are not copied yet, above which a step waits for a checkpoint. */
  readonly logBytesMax: number
  /** Copies the log at the end, so that the file is shorter at once. Off where another tool makes the checkpoints. */
  readonly isCheckpointed: boolean
}

/**
 * Starts when a quarter of the file and 16 MiB are free, and returns about 4 MiB a second.
 *
 * @category presets
 * @since 0.3.0
 */
export const defaults: CompactorOptions = {
  lane: Lane.maintenance,
  lookInterval: "10 seconds",
  startBytes: 16 * 1024 * 1024,
  startShare: 0.25,
  keepBytes: 4 * 1024 * 1024,
  stepPages: 64,
  pause: "50 millis",
  busyPause: "500 millis",
  logBytesMax: 16 * 1024 * 1024,
  isCheckpointed: true
}

/**
 * @category services
 * @since 0.3.0
 */
export class Compactor extends Context.Tag("presence-effect/sqlite/Compactor")<
  Compactor,
  {
    /** One look, and the steps it asks for. The fiber does this every `lookInterval`. Never fails. */
    readonly look: Effect.Effect<void>
  }
>() {}

const freeBytes = ({ freePages, pageBytes }: Space): number => freePages * pageBytes

/** No write runs or waits, and the log is short. */
const isQuiet = (writer: SqliteWriter["Type"], connection: SqliteConnection["Type"], logBytesMax: number) =>
  Effect.gen(function* () {
    const { holder, lanes } = yield* writer.status
    if (holder !== undefined || lanes.some(({ waiterCount }) => waiterCount > 0)) return false
    const { checkpointedFrames, frameBytes, logFrames } = yield* connection.logState
    return (logFrames - checkpointedFrames) * frameBytes <= logBytesMax
  })

/**
 * Builds the keeper. Its fiber belongs to the scope. A file that was not made with `auto_vacuum = INCREMENTAL` keeps
 * its size, which is logged once. A step that fails is left for the next look. Dies when the policy of the writer has
 * no such lane.
 *
 * @category constructors
 * @since 0.3.0
 */
export const make = (
  options: Partial<CompactorOptions> = {}
): Effect.Effect<Compactor["Type"], never, SqliteConnection | SqliteWriter | Scope.Scope> =>
  Effect.gen(function* () {
    const knobs = { ...defaults, ...options }
    const connection = yield* SqliteConnection
    const writer = yield* SqliteWriter
    WriterPolicy.termsOf(writer.policy, knobs.lane)
    const label = labelled(yield* DatabaseName)
    /** What was logged last, until a round is done: a round that fails repeatedly is logged once. */
    let told: "stuck" | "begun" | undefined

    const measured = Effect.tap(connection.space, (space) =>
      Metric.set(label(SqliteMetrics.freeBytes), freeBytes(space))
    )

    /** True while there is more to return. */
    const step = Effect.gen(function* () {
      if (!(yield* isQuiet(writer, connection, knobs.logBytesMax))) {
        yield* Effect.sleep(knobs.busyPause)
        return true
      }
      const after = yield* writer.compact(knobs.lane, knobs.stepPages)
      yield* Metric.set(label(SqliteMetrics.freeBytes), freeBytes(after))
      yield* Metric.incrementBy(label(SqliteMetrics.compactedBytes), after.removedPages * after.pageBytes)
      const isMore = after.removedPages > 0 && freeBytes(after) > knobs.keepBytes
      if (isMore) yield* Effect.sleep(knobs.pause)
      return isMore
    })

    const tell = (what: "stuck" | "begun", text: string) =>
      Effect.suspend(() => {
        if (told === what) return Effect.void
        told = what
        return Effect.logInfo(text)
      })

    const lookAround = Effect.gen(function* () {
      const before = yield* measured
      const bytes = freeBytes(before)
      if (bytes < knobs.startBytes || before.freePages < before.pageCount * knobs.startShare) return
      const free = `${bytes} bytes of the database file are free`
      if (!before.isShrinkable) {
        return yield* tell(
          "stuck",
          `${free}; it cannot give them back while it is in use, since it was made without incremental vacuum. ` +
            "New rows use them"
        )
      }
      yield* tell("begun", `${free}, and are given back to the file system`)
      yield* Effect.repeat(step, { while: (isMore) => isMore })
      told = undefined
      if (!knobs.isCheckpointed) return
      yield* connection.copyLog
      yield* writer.checkpoint(knobs.lane, "passive")
    })

    // Defects too: they must not end the fiber.
    const patient = (self: Effect.Effect<unknown, EngineFault | WriterError>) =>
      Effect.catchAllCause(self, (cause) => Effect.logDebug("compaction left for later", cause))

    const look = Effect.asVoid(patient(lookAround))
    yield* Effect.forkScoped(Effect.schedule(look, Schedule.spaced(knobs.lookInterval)))
    return Compactor.of({ look })
  })

/**
 * @category layers
 * @since 0.3.0
 */
export const layer = (
  options: Partial<CompactorOptions> = {}
): Layer.Layer<Compactor, never, SqliteConnection | SqliteWriter> => Layer.scoped(Compactor, make(options))
