/**
 * The service through which all SQLite writes go.
 *
 * The permit belongs to the engine's work, not to the caller: a caller that gives
 * up or is interrupted continues at once, while the permit is held until the
 * engine has answered. So no write ever runs beside a statement that
 * still runs, and no caller hangs on one that never ends.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import { strictEqual } from "node:assert/strict"
 * import * as SimulatedDatabase from "presence-effect/testing/SimulatedDatabase"
 * import * as Lane from "presence-effect/writer/Lane"
 * import * as SqliteWriter from "presence-effect/writer/SqliteWriter"
 * import * as Write from "presence-effect/writer/Write"
 *
 * const register = (id: string) =>
 *   Effect.flatMap(SqliteWriter.SqliteWriter, (writer) =>
 *     writer.write(Lane.control, Write.statement("INSERT INTO Machine (id) VALUES (?)", [id]))
 *   )
 * const program = Effect.gen(function* () {
 *   // In a server: SqliteThread.layer({ filename })
 *   const { layer } = yield* SimulatedDatabase.make({ schema: "CREATE TABLE Machine (id TEXT PRIMARY KEY)" })
 *   const twice = Effect.zipRight(register("m"), Effect.flip(register("m")))
 *   const failure = yield* Effect.provide(twice, Layer.provide(SqliteWriter.layer(), layer))
 *   strictEqual(failure._tag, "WriteRejected")
 *   strictEqual(failure.written, "nothing")
 * })
 * await Effect.runPromise(Effect.scoped(program))
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { type KeptSpan, useKeptSpan } from "../internal/keptSpan.ts"
import * as Attempts from "./internal/attempts.ts"
import * as Deadlines from "./internal/deadlines.ts"
import { toWriterError } from "./internal/engineFailure.ts"
import * as MeasuredWrites from "./internal/measuredWrites.ts"
import { makeTold } from "./internal/measuredWrites.ts"
import * as Opaque from "./internal/opaque.ts"
import { withRetries } from "./internal/retries.ts"
import { withAttemptSpans } from "./internal/writeSpan.ts"
import * as WriterJournal from "./internal/writerJournal.ts"
import * as WriterState from "./internal/writerState.ts"
import { DatabaseName } from "./DatabaseName.ts"
import type * as Lane from "./Lane.ts"
import * as LaneSemaphore from "./LaneSemaphore.ts"
import type { CheckpointMode, CheckpointResult, Compacted, EngineFault } from "./SqliteConnection.ts"
import { SqliteConnection } from "./SqliteConnection.ts"
import type { Write } from "./Write.ts"
import type {
  LaneOverflow,
  NestedPermit,
  PermitTimeout,
  WriterClosed,
  WriterError,
  WriteUnconfirmed
} from "./WriterError.ts"
import * as WriterPolicy from "./WriterPolicy.ts"

/**
 * A result with the time it took.
 *
 * @category models
 * @since 0.1.0
 */
export interface Measured<out A> {
  readonly value: A
  /** From the call to the grant of the attempt that succeeded. */
  readonly waitMillis: number
  /** From that grant to the engine's answer. */
  readonly holdMillis: number
  /** Attempts, the first included. */
  readonly attempts: number
  /** Writes that shared the commit. */
  readonly groupSize: number
}

/**
 * Times are on the wall clock as it goes when the status is read: their distance
 * from it is the true age, also after the clock was set.
 *
 * @category models
 * @since 0.1.0
 */
export interface WriterStatus {
  readonly state: "open" | "draining" | "closed"
  /** The holder of the permit, and since when (epoch ms). */
  readonly holder: { readonly lane: Lane.Lane; readonly sinceMillis: number } | undefined
  /** In serving order. */
  readonly lanes: ReadonlyArray<{
    readonly lane: Lane.Lane
    readonly waiterCount: number
    readonly capacity: number
    /** How long the write that waits first in the lane has waited for the permit, in ms. 0 when no write waits. */
    readonly oldestWaitMillis: number
  }>
  /** Epoch ms of the last commit that the engine acknowledged. */
  readonly lastCommitMillis: number | undefined
  /** The last failure of the engine since that commit. */
  readonly lastFailure: { readonly tag: WriterError["_tag"]; readonly atMillis: number } | undefined
}

/**
 * @category services
 * @since 0.1.0
 */
export class SqliteWriter extends Context.Tag("presence-effect/writer/SqliteWriter")<
  SqliteWriter,
  {
    readonly policy: WriterPolicy.ResolvedPolicy
    /**
     * Commits `write` on the terms of `lane`. Terms of one call are put around it: `Effect.timeout` leaves earlier, and
     * a write that has begun goes on; `Effect.retry` with a `Schedule` of your own, while `isRetryable`, stays longer.
     */
    readonly write: <A>(lane: Lane.Lane, write: Write<A>) => Effect.Effect<A, WriterError>
    /** The same, with the time it took. */
    readonly writeMeasured: <A>(lane: Lane.Lane, write: Write<A>) => Effect.Effect<Measured<A>, WriterError>
    /**
     * Runs an opaque effect under the permit, for hosts that write through a client of their own. It is tried again on
     * the terms of the lane while its failure is a lock (`SqliteConnection.isBusy`), so it must be one
     * transaction.
     *
     * `self` runs in a fiber of its own. When its caller is interrupted it is interrupted too, and the caller goes on
     * only when it has ended, so that nothing it uses is released before; `holdLimit` after the grant the caller goes
     * on all the same. A caller that has waited for `holdLimit` fails with `WriteUnconfirmed`, and `self` goes on and
     * keeps the permit: let it acquire what it uses by itself. What cannot be interrupted keeps the permit until it
     * ends; wrap a promise in `Effect.uninterruptible`, unless its client has rolled back when the signal aborts.
     *
     * A synchronous client blocks the event loop while it waits for the lock of another process, and no time limit ends
     * that: `SqliteClient` of `@effect/sql-sqlite-node` waits up to 5 s. Run `PRAGMA busy_timeout = 0` on it first, or
     * use `node/WriterClient`, which never waits.
     *
     * **Errors**: those of `self`, unchanged; `NestedPermit` at once in the body of another `withPermit` of this writer
     * and in the fibers it forked, as long as it holds the permit; `WriteUnconfirmed` with reason `closed` when the
     * writer ended meanwhile.
     */
    readonly withPermit: (
      lane: Lane.Lane
    ) => <A, E, R>(
      self: Effect.Effect<A, E, R>
    ) => Effect.Effect<A, E | LaneOverflow | NestedPermit | PermitTimeout | WriteUnconfirmed | WriterClosed, R>
    /**
     * Checkpoint by the writing connection, under the permit of `lane`. A caller that is interrupted goes on at once; a
     * checkpoint that has begun keeps the permit until the engine has answered.
     */
    readonly checkpoint: (lane: Lane.Lane, mode: CheckpointMode) => Effect.Effect<CheckpointResult, WriterError>
    /**
     * Takes up to `pageLimit` free pages out of the file, in one commit under the permit of `lane`. The file is shorter
     * after the next checkpoint. Interrupted like `checkpoint`; also done when only the reserve of the disk is left.
     *
     * @since 0.3.0
     */
    readonly compact: (lane: Lane.Lane, pageLimit: number) => Effect.Effect<Compacted, WriterError>
    readonly status: Effect.Effect<WriterStatus>
  }
>() {}

/** Connections that a writer has: two writers over one would be two permits. */
const taken = new WeakSet<SqliteConnection["Type"]>()

const takeConnection = Effect.flatMap(SqliteConnection, (connection) =>
  Effect.acquireRelease(
    Effect.suspend(() => {
      if (taken.has(connection)) {
        return Effect.dieMessage(
          "this connection has a writer already: build the layer of SqliteWriter once and share it"
        )
      }
      taken.add(connection)
      return Effect.succeed(connection)
    }),
    () => Effect.sync(() => taken.delete(connection))
  )
)

/**
 * Builds the writer around a connection. Dies when the connection has a writer
 * already.
 *
 * **Errors**: `PolicyInvalid` with every contradiction in `policy`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  policy: WriterPolicy.WriterPolicy = WriterPolicy.defaults
): Effect.Effect<SqliteWriter["Type"], WriterPolicy.PolicyInvalid, SqliteConnection | Scope.Scope> =>
  Effect.gen(function* () {
    const resolved = yield* WriterPolicy.resolve(policy)
    const connection = yield* takeConnection
    const clock = yield* Effect.clock
    const journal = WriterJournal.make(resolved, clock, yield* DatabaseName)
    const deadlines = yield* Deadlines.make(clock)
    const lanes = yield* LaneSemaphore.make({ ...resolved, onQueue: journal.queued, now: deadlines.now })
    const attempts = Attempts.make({ lanes, connection, deadlines, journal })
    const opaque = yield* Opaque.make({ lanes, deadlines, journal })
    const state = WriterState.make({ policy: resolved, lanes, journal, deadlines, attempts })

    const told = makeTold(journal)
    const writeMeasured = MeasuredWrites.make({
      policy: resolved,
      attempts,
      deadlines,
      told,
      demandOutside: opaque.demandOutside
    })

    const holdWithRetries = <A, E, R>(lane: Lane.Lane, span: KeptSpan, self: Effect.Effect<A, E, R>) => {
      let attemptCount = 0
      const held = Effect.suspend(() => {
        const terms = WriterPolicy.termsOf(resolved, lane)
        const schedule = () => Schedule.whileInput(WriterPolicy.retryDelays(terms), connection.isBusy)
        return withRetries(deadlines, terms, schedule, (acquireMillis, attempt) => {
          attemptCount = attempt
          return withAttemptSpans(span, (granted) => {
            const begun = Effect.suspend(() => {
              granted()
              return self
            })
            return opaque.hold(terms, begun, acquireMillis)
          })
        })
      })
      return { held: Effect.zipRight(opaque.demandOutside(lane), held), attemptCount: () => attemptCount }
    }

    const withPermit =
      (lane: Lane.Lane) =>
      <A, E, R>(self: Effect.Effect<A, E, R>) =>
        useKeptSpan("writer.permit", { attributes: { lane } }, (span) => {
          const body = Effect.tap(self, () => Effect.sync(journal.committed))
          const inSpan = span === undefined ? body : (Effect.withParentSpan(body, span) as Effect.Effect<A, E, R>)
          const { attemptCount, held } = holdWithRetries(lane, span, inSpan)
          return told(lane, span, attemptCount, held)
        })

    /**
     * The engine goes on when the caller leaves: the permit stays with its work, and the caller does not wait. Not
     * counted: it is no write.
     */
    const tend = <A>(
      name: string,
      attributes: { readonly lane: Lane.Lane; readonly mode?: CheckpointMode },
      self: Effect.Effect<A, EngineFault>
    ): Effect.Effect<A, WriterError> =>
      useKeptSpan(name, { attributes }, (span) => {
        const { lane } = attributes
        const { held } = holdWithRetries(lane, span, Effect.uninterruptible(self))
        return Effect.mapError(Effect.disconnect(held), (error) =>
          error._tag === "EngineFault" ? toWriterError(error, { lane, attempts: 1, heldMillis: 0 }) : error
        )
      })

    yield* Effect.addFinalizer(() => state.close(opaque.close))

    return SqliteWriter.of({
      policy: resolved,
      write: (lane, write) => Effect.map(writeMeasured(lane, write), ({ value }) => value),
      writeMeasured,
      withPermit,
      checkpoint: (lane, mode) => tend("writer.checkpoint", { lane, mode }, connection.checkpoint(mode)),
      compact: (lane, pageLimit) => tend("writer.compact", { lane }, connection.compact(pageLimit)),
      status: state.status
    })
  })

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  policy: WriterPolicy.WriterPolicy = WriterPolicy.defaults
): Layer.Layer<SqliteWriter, WriterPolicy.PolicyInvalid, SqliteConnection> => Layer.scoped(SqliteWriter, make(policy))
