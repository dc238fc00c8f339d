/**
 * A connection without a database: latency on virtual time, scripted faults.
 *
 * For tests of code that uses `SqliteWriter`. Latency and failures are scripted.
 * It dies when two calls overlap, because the writer guarantees one at a time.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import * as Fiber from "effect/Fiber"
 * import * as Layer from "effect/Layer"
 * import * as TestClock from "effect/TestClock"
 * import * as TestContext from "effect/TestContext"
 * import { strictEqual } from "node:assert/strict"
 * import * as SimulatedConnection from "presence-effect/testing/SimulatedConnection"
 * import * as Lane from "presence-effect/writer/Lane"
 * import * as SqliteWriter from "presence-effect/writer/SqliteWriter"
 * import * as Write from "presence-effect/writer/Write"
 *
 * const program = Effect.gen(function* () {
 *   const simulated = yield* SimulatedConnection.make({ latency: "20 millis" })
 *   const insert = Effect.flatMap(SqliteWriter.SqliteWriter, (writer) =>
 *     writer.writeMeasured(Lane.control, Write.statement("INSERT INTO Machine (id) VALUES ('m')"))
 *   )
 *   // Another program holds the lock of the file for 100 ms, while the writer tries again.
 *   simulated.lock()
 *   const writing = yield* Effect.fork(Effect.provide(insert, Layer.provide(SqliteWriter.layer(), simulated.layer)))
 *   yield* TestClock.adjust("100 millis")
 *   simulated.unlock()
 *   yield* TestClock.adjust("1 second")
 *   strictEqual(Math.round((yield* Fiber.join(writing)).holdMillis), 20)
 * })
 * await Effect.runPromise(Effect.provide(program, TestContext.TestContext))
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as Layer from "effect/Layer"
import * as ResultCode from "../sqlite/internal/resultCode.ts"
import * as SqliteFault from "../sqlite/SqliteFault.ts"
import {
  type CheckpointResult,
  EngineFault,
  type Fault,
  type Space,
  SqliteConnection,
  type WriteAnswer
} from "../writer/SqliteConnection.ts"
import type { Durability } from "../writer/Durability.ts"
import type { Statement, StatementResult } from "../writer/Write.ts"

/**
 * One group the simulated engine has committed.
 *
 * @category models
 * @since 0.1.0
 */
export interface Committed {
  readonly atMillis: number
  readonly durability: Durability
  /** Only the writes of the group that were done. */
  readonly writes: ReadonlyArray<ReadonlyArray<Statement>>
}

/**
 * @category models
 * @since 0.1.0
 */
export interface SimulatedConnection {
  readonly connection: SqliteConnection["Type"]
  readonly layer: Layer.Layer<SqliteConnection>
  /** Everything committed so far, oldest first. */
  readonly committed: ReadonlyArray<Committed>
  /** Calls that reached the engine, failed ones included. */
  readonly callCount: () => number
  /** Time each call takes from now on. */
  readonly setLatency: (latency: Duration.DurationInput) => void
  /** Another connection takes the write lock: every call answers `SQLITE_BUSY` until `unlock`. */
  readonly lock: () => void
  readonly unlock: () => void
  /** The engine stops answering, in the middle of a call if one runs, until `resume`. */
  readonly stall: () => void
  readonly resume: () => void
  /** A reader keeps an old state of the database: the log cannot be copied nor emptied until `releaseReader`. */
  readonly pinReader: () => void
  readonly releaseReader: () => void
  /**
   * The next call fails as a whole with this fault; more of them queue up. One that is final fails all after it.
   * Nothing is written, unless `isCommitted`: then the group is, and only the answer is lost.
   */
  readonly failNext: (fault: Omit<Fault, "reason">, options?: { readonly isCommitted?: boolean }) => void
}

/**
 * @category models
 * @since 0.1.0
 */
export interface SimulatedOptions {
  /** Time of a call. Default zero. */
  readonly latency?: Duration.DurationInput
  /** Time of each statement, for an engine with round trips. Default zero. */
  readonly statementLatency?: Duration.DurationInput
  /** Pages a statement writes into the log. Default 1. */
  readonly framesPerStatement?: number
  /**
   * What the file holds at first. Default: one page, none of them free.
   *
   * @since 0.3.0
   */
  readonly space?: Space
  /**
   * What a statement does. Default: it changes what it must, one row where any number will do, and returns no rows. A
   * statement that would return rows dies then, because no rows would be an answer too: presence would forget what it
   * flushes. `SimulatedDatabase` runs every statement.
   */
  readonly evaluate?: (statement: Statement) => StatementResult | EngineFault
  /**
   * What a group does, in the place of `evaluate`: one answer per write, in order. Lets a real engine do the work
   * behind the latency and the faults. A fault that is returned fails the group as a whole.
   */
  readonly evaluateGroup?: (
    group: ReadonlyArray<ReadonlyArray<Statement>>,
    durability: Durability
  ) => ReadonlyArray<WriteAnswer> | EngineFault
}

const returnsRows = /^\s*(?:SELECT|VALUES)\b|\bRETURNING\b/i

const defaultResult = ({ changes, sql }: Statement): StatementResult => {
  if (returnsRows.test(sql)) {
    throw new Error(`a connection without a database has no rows: use SimulatedDatabase, or give evaluate for ${sql}`)
  }
  return { rows: [], changes: typeof changes === "number" ? changes : 1 }
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: SimulatedOptions = {}): Effect.Effect<SimulatedConnection> =>
  Effect.map(Effect.clock, (clock): SimulatedConnection => {
    const committed: Array<Committed> = []
    const faults: Array<EngineFault> = []
    const lostAnswers = new WeakSet<EngineFault>()
    const ended = Deferred.unsafeMake<never, EngineFault>(FiberId.none)
    let last: EngineFault | undefined
    const evaluate = options.evaluate ?? defaultResult
    let latency = Duration.decode(options.latency ?? 0)
    const statementLatency = Duration.toMillis(options.statementLatency ?? 0)
    let stalled: Deferred.Deferred<void> | undefined
    let isLocked = false
    let callCount = 0
    let isInside = false
    let space: Space = options.space ?? { pageBytes: 4_096, pageCount: 1, freePages: 0, isShrinkable: true }

    const log = simulateLog()

    const answer = (statements: ReadonlyArray<Statement>): WriteAnswer => {
      const results: Array<StatementResult> = []
      for (const statement of statements) {
        const result = evaluate(statement)
        if ("_tag" in result) return { _tag: "Failed", fault: result }
        results.push(result)
      }
      return { _tag: "Done", results }
    }
    const evaluateGroup: NonNullable<SimulatedOptions["evaluateGroup"]> =
      options.evaluateGroup ?? ((group) => group.map(answer))

    const once = <A>(body: Effect.Effect<A, EngineFault>) =>
      Effect.suspend(() => {
        if (isInside) return Effect.dieMessage("two calls overlap in the write connection")
        isInside = true
        callCount++
        return Effect.ensuring(
          body,
          Effect.sync(() => {
            isInside = false
          })
        )
      })

    const unstalled: Effect.Effect<void> = Effect.suspend(() =>
      stalled === undefined ? Effect.void : Effect.zipRight(Deferred.await(stalled), unstalled)
    )

    const end = (fault: EngineFault): EngineFault => {
      Deferred.unsafeDone(ended, Effect.fail(fault))
      return (last = fault)
    }
    const takeFault = (): EngineFault | undefined => {
      const fault = faults.shift()
      return fault?.isFinal === true ? end(fault) : fault
    }

    const refusal = (): EngineFault | undefined =>
      last ??
      (isLocked ? SqliteFault.make({ code: "SQLITE_BUSY", detail: "database is locked", phase: "begin" }) : takeFault())

    const connection = SqliteConnection.of({
      run: (group, durability) =>
        once(
          Effect.gen(function* () {
            const told = refusal()
            const isAnswerLost = told !== undefined && lostAnswers.has(told)
            if (told !== undefined && !isAnswerLost) return yield* told
            const millis = Duration.toMillis(latency) + statementLatency * group.flat().length
            if (millis > 0) yield* Clock.sleep(millis)
            yield* unstalled
            const answers = evaluateGroup(group, durability)
            if ("_tag" in answers) return yield* answers
            const writes = group.filter((_, index) => answers[index]?._tag === "Done")
            log.write(group.flat().length * (options.framesPerStatement ?? 1))
            if (writes.length > 0) committed.push({ atMillis: clock.unsafeCurrentTimeMillis(), durability, writes })
            return isAnswerLost ? yield* told : answers
          })
        ),
      checkpoint: (mode) =>
        once(
          Effect.sync(() => {
            if (mode !== "noop") log.copy()
            if (mode === "truncate" && !log.isPinned) log.empty()
            return { ...log.state(), isBusy: mode === "truncate" && log.isPinned }
          })
        ),
      compact: (pageLimit) =>
        once(
          Effect.gen(function* () {
            const fault = refusal()
            if (fault !== undefined) return yield* fault
            const removedPages = space.isShrinkable ? Math.min(pageLimit, space.freePages) : 0
            const { freePages, pageCount } = space
            space = { ...space, freePages: freePages - removedPages, pageCount: pageCount - removedPages }
            log.write(removedPages)
            return { ...space, removedPages }
          })
        ),
      space: Effect.sync(() => space),
      logState: Effect.sync(log.state),
      copyLog: Effect.sync(() => {
        log.copy()
        return log.state()
      }),
      identity: Effect.sync(() => ({
        database: "simulated",
        log: "simulated-wal",
        databaseBytes: frameBytes,
        logBytes: log.fileFrames() * frameBytes
      })),
      untilStopped: Deferred.await(ended),
      stop: ({ code, detail, reason }) =>
        Effect.sync(() => {
          if (last === undefined) end(new EngineFault({ reason, code, detail, phase: "queued", isFinal: true }))
        }),
      isBusy: (failure) => ResultCode.isBusyFailure(failure)
    })

    return {
      connection,
      layer: Layer.succeed(SqliteConnection, connection),
      committed,
      callCount: () => callCount,
      setLatency: (next) => {
        latency = Duration.decode(next)
      },
      lock: () => {
        isLocked = true
      },
      unlock: () => {
        isLocked = false
      },
      stall: () => {
        stalled ??= Deferred.unsafeMake<void>(FiberId.none)
      },
      resume: () => {
        if (stalled !== undefined) Deferred.unsafeDone(stalled, Effect.void)
        stalled = undefined
      },
      failNext: (given, options) => {
        const fault = SqliteFault.make(given)
        faults.push(fault)
        if (options?.isCommitted === true) lostAnswers.add(fault)
      },
      pinReader: () => {
        log.isPinned = true
      },
      releaseReader: () => {
        log.isPinned = false
      }
    }
  })

const frameBytes = 4_096 + 24

/** A log that is written from its start again once all of it is copied, as SQLite's is. */
const simulateLog = () => {
  let frames = 0
  let copied = 0
  let fileFrames = 0
  return {
    isPinned: false,
    write(count: number) {
      if (copied === frames && !this.isPinned) frames = copied = 0
      frames += count
      fileFrames = Math.max(fileFrames, frames)
    },
    copy() {
      if (!this.isPinned) copied = frames
    },
    empty() {
      frames = copied = fileFrames = 0
    },
    fileFrames: () => fileFrames,
    state: (): CheckpointResult => ({ isBusy: false, logFrames: frames, checkpointedFrames: copied, frameBytes })
  }
}
