/**
 * The write connection in a thread of its own: the default.
 *
 * better-sqlite3 is synchronous. A slow disk or a large statement blocks the
 * thread it runs in, which is not the event loop here. A
 * second thread with a second connection copies the log, so that neither the
 * event loop nor the writer pays for the disk there.
 *
 * @example
 * import Database from "better-sqlite3"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import { strictEqual } from "node:assert/strict"
 * import { mkdtempSync, rmSync } from "node:fs"
 * import { tmpdir } from "node:os"
 * import { join } from "node:path"
 * import * as SqliteThread from "presence-effect/node/SqliteThread"
 * import * as Lane from "presence-effect/writer/Lane"
 * import * as SqliteWriter from "presence-effect/writer/SqliteWriter"
 * import * as Write from "presence-effect/writer/Write"
 *
 * const folder = mkdtempSync(join(tmpdir(), "example-"))
 * const filename = join(folder, "app.sqlite")
 * new Database(filename).exec("CREATE TABLE Machine (id TEXT PRIMARY KEY)").close()
 *
 * const services = Layer.provide(SqliteWriter.layer(), SqliteThread.layer({ filename }))
 * const insert = Effect.flatMap(SqliteWriter.SqliteWriter, (writer) =>
 *   writer.write(Lane.control, Write.statement("INSERT INTO Machine (id) VALUES ('m')"))
 * )
 * strictEqual((await Effect.runPromise(Effect.provide(insert, services))).changes, 1)
 * rmSync(folder, { recursive: true })
 *
 * @since 0.1.0
 */
import * as Worker from "@effect/platform/Worker"
import type { WorkerError } from "@effect/platform/WorkerError"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as WorkerThreads from "node:worker_threads"
import { isBusyFailure } from "../sqlite/internal/resultCode.ts"
import type { Durability } from "../writer/Durability.ts"
import { type CheckpointMode, EngineFault, SqliteConnection, type WriteAnswer } from "../writer/SqliteConnection.ts"
import type { Statement } from "../writer/Write.ts"
import * as FileIdentity from "./FileIdentity.ts"
import type { OpenFiles } from "./internal/fileWatch.ts"
import { warnOfMisfit } from "./internal/driverFit.ts"
import * as Finality from "./internal/finality.ts"
import * as LogSync from "./internal/logSync.ts"
import { engineOptions, openTimeoutDefault, retryBusyOpen } from "./internal/opening.ts"
import type { Reply, Request, Start } from "./internal/sqliteThreadProtocol.ts"
import { threadArgs } from "./internal/threadArgs.ts"
import { entry } from "./internal/threadEntry.ts"
import * as ThreadWorker from "./internal/threadWorker.ts"
import type { SqliteOptions } from "./SqliteOptions.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface SqliteThreadOptions extends SqliteOptions {
  /** Delay until a dead thread is replaced, doubled by each death in a row up to `restartDelayMax`. Default 50 ms. */
  readonly restartDelay?: Duration.DurationInput
  /** Default 5 s. */
  readonly restartDelayMax?: Duration.DurationInput
  /** Deaths and failed starts in a row after which the connection is closed for good, with `GONE`. Default 5. */
  readonly restartLimit?: number
  /** Longest silence of a thread while it opens the file, beyond `openTimeout`. Default 30 s. */
  readonly openHangLimit?: Duration.DurationInput
  /**
   * Where the program of the thread is, for a host that is bundled: build it from
   * `presence-effect/node/sqliteThreadEntry`. Default: `sqliteThreadEntry.js` beside this module, or beside the bundle.
   *
   * @since 0.2.0
   */
  readonly entry?: URL
  /** Sees each thread as it starts, for tests that kill it. */
  readonly onSpawn?: (thread: WorkerThreads.Worker) => void
}

const lost = (detail: string, phase: EngineFault["phase"]) =>
  new EngineFault({ reason: "Lost", code: "LOST", detail, phase })

/** A request that cannot be cloned was not sent. Any other failure is the death of the thread, in an unknown phase. */
const unsent = (cause: Cause.Cause<WorkerError>): EngineFault | undefined => {
  const error = Option.getOrUndefined(Cause.failureOption(cause))
  if (error?.reason !== "send") return undefined
  return new EngineFault({
    reason: "Rejected",
    code: "SQLITE_MISUSE",
    detail: String(error.cause),
    phase: "queued"
  })
}

type Live = Worker.Worker<Request, Reply>

const ask = (name: string, thread: Live, request: Request): Effect.Effect<Reply, EngineFault> =>
  Effect.catchAllCause(thread.executeEffect(request), (cause) =>
    Effect.fail(unsent(cause) ?? lost(`the ${name} thread died`, "commit"))
  )

type ReplyOf<Tag extends Reply["_tag"]> = Extract<Reply, { readonly _tag: Tag }>

const isReply = <Tag extends Reply["_tag"]>(reply: Reply, tag: Tag): reply is ReplyOf<Tag> => reply._tag === tag

/** The reply that belongs to the request; a fault of the engine fails. */
const expected =
  <Tag extends Reply["_tag"]>(tag: Tag) =>
  (reply: Reply): Effect.Effect<ReplyOf<Tag>, EngineFault> => {
    if (reply._tag === "Failed") return Effect.fail(new EngineFault(reply.fault))
    return isReply(reply, tag)
      ? Effect.succeed(reply)
      : Effect.dieMessage(`the thread replied ${reply._tag} instead of ${tag}`)
  }

/** The thread that can be asked now, and the files that the first of them had open: its successors open no others. */
interface Current {
  thread: Live | undefined
  files: OpenFiles | undefined
}

/** As logs name them. */
const names: Record<Start["role"], string> = { writer: "sqlite-writer", copier: "sqlite-log-copier" }

/** Starts a thread in the scope around it; succeeds with a deferred that is done when the thread is. */
const start = (
  role: Start["role"],
  options: SqliteThreadOptions,
  current: Current
): Effect.Effect<Deferred.Deferred<string>, EngineFault, Scope.Scope> =>
  Effect.gen(function* () {
    const name = names[role]
    const died = yield* Deferred.make<string>()
    let opened: Live | undefined
    const end = (reason: string) => {
      // At once, before a request can be sent to the dead thread. Its successor may be up by then: a thread that is
      // stuck in the disk is given up after a while, and ends later.
      if (current.thread === opened) current.thread = undefined
      Deferred.unsafeDone(died, Effect.succeed(reason))
    }
    const spawn = () => {
      try {
        const thread = new WorkerThreads.Worker(options.entry ?? entry, {
          ...threadArgs(process.execArgv),
          name,
          workerData: { role } satisfies Start
        })
        thread.once("error", (error) => end(String(error)))
        thread.once("exit", (code) => end(`exit code ${code}`))
        options.onSpawn?.(thread)
        return thread
      } catch (cause) {
        // The platform waits without a limit for a thread that was never created.
        end(String(cause))
        throw cause
      }
    }
    const hangLimit = Duration.sum(
      Duration.decode(options.openTimeout ?? openTimeoutDefault),
      Duration.decode(options.openHangLimit ?? "30 seconds")
    )
    const opening = Effect.gen(function* () {
      const manager = yield* Worker.WorkerManager
      const thread = yield* manager.spawn<Request, Reply, never>({})
      const request = { _tag: "Open", options: engineOptions(options, current.files) } as const
      const open = Effect.flatMap(ask(name, thread, request), expected("Opened"))
      current.files = (yield* retryBusyOpen(options)(open)).files
      current.thread = opened = thread
    }).pipe(
      Effect.catchTag("WorkerError", (error) => Effect.fail(lost(`the ${name} thread: ${error.message}`, "queued"))),
      Effect.provide(ThreadWorker.layer(spawn))
    )
    const failing = (reason: string) => Effect.fail(lost(`the ${name} thread: ${reason}`, "queued"))
    yield* opening.pipe(
      Effect.raceFirst(Effect.flatMap(Deferred.await(died), failing)),
      Effect.raceFirst(
        Effect.delay(failing(`no answer within ${Duration.format(hangLimit)} of opening the file`), hangLimit)
      )
    )
    return died
  })

/** One thread that is started anew whenever it dies, until the scope closes. */
interface Thread {
  /** Fails with `LOST` in phase `queued` while there is no thread, in a later phase when it died meanwhile. */
  readonly call: <Tag extends Reply["_tag"]>(request: Request, tag: Tag) => Effect.Effect<ReplyOf<Tag>, EngineFault>
}

const makeThread = (
  role: Start["role"],
  options: SqliteThreadOptions,
  finality: Finality.Finality
): Effect.Effect<Thread, EngineFault, Scope.Scope> =>
  Effect.gen(function* () {
    const name = names[role]
    const current: Current = { thread: undefined, files: undefined }
    const restartLimit = options.restartLimit ?? 5
    const restartDelayMillis = Duration.toMillis(options.restartDelay ?? "50 millis")
    const restartDelayMaxMillis = Duration.toMillis(options.restartDelayMax ?? "5 seconds")
    const startOne = start(role, options, current)

    const lifetime = yield* Effect.scope
    const firstScope = yield* Scope.fork(lifetime, ExecutionStrategy.sequential)
    let died = yield* Scope.extend(startOne, firstScope)
    let scope = firstScope

    /** Answers the deaths in a row when another thread is up; `restartLimit`: the connection was given up. */
    const replace = (reason: string, deaths: number): Effect.Effect<number> =>
      Effect.gen(function* () {
        if (deaths >= restartLimit) {
          const detail = `the ${name} thread ended ${deaths} times in a row, the last time: ${reason}`
          finality.stop(new EngineFault({ reason: "Gone", code: "GONE", detail, phase: "queued" }))
          yield* Effect.logError(`${detail}; the connection is given up`).pipe(Effect.annotateLogs("code", "GONE"))
          return restartLimit
        }
        const delay = Math.min(restartDelayMillis * 2 ** (deaths - 1), restartDelayMaxMillis)
        yield* Effect.logWarning(`the ${name} thread ended (${reason}), starting another in ${delay} ms`)
        yield* Effect.sleep(delay)
        scope = yield* Scope.fork(lifetime, ExecutionStrategy.sequential)
        const started = yield* Effect.either(Scope.extend(startOne, scope))
        if (started._tag === "Right") {
          died = started.right
          return deaths
        }
        yield* Scope.close(scope, Exit.void)
        const fault = started.left
        yield* Effect.logError(`the ${name} thread cannot open the database: ${fault.detail}`)
        if (fault.isFinal !== true) return yield* replace(fault.detail, deaths + 1)
        finality.stop(fault)
        return restartLimit
      })

    const supervise = Effect.gen(function* () {
      let deaths = 0
      while (true) {
        const reason = yield* Deferred.await(died)
        yield* Scope.close(scope, Exit.void)
        deaths = yield* replace(reason, deaths + 1)
        if (deaths >= restartLimit) return
        // After a thread has lived for a while, the next restart is quick again.
        const end = yield* Effect.timeoutOption(Deferred.await(died), restartDelayMaxMillis)
        if (Option.isNone(end)) deaths = 0
      }
    })
    yield* Effect.forkScoped(Effect.interruptible(supervise))

    return {
      call: (request, tag) =>
        finality.guard(
          Effect.suspend(() =>
            current.thread === undefined
              ? Effect.fail(lost(`the ${name} thread is being started again`, "queued"))
              : Effect.flatMap(ask(name, current.thread, request), expected(tag))
          )
        )
    }
  })

/**
 * **Errors**: `EngineFault` when the file cannot be opened or brought into WAL
 * mode, or when no thread can be started. Nothing written. A thread that dies
 * later is replaced; what was in it fails with `LOST`. After `restartLimit`
 * deaths in a row every call fails with `GONE`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: SqliteThreadOptions): Effect.Effect<SqliteConnection["Type"], EngineFault, Scope.Scope> =>
  Effect.gen(function* () {
    yield* warnOfMisfit
    const finality = yield* Finality.make
    const logSync = LogSync.make(options.filename)
    const [writer, checkpointer] = yield* Effect.all(
      [
        makeThread("writer", options, finality),
        makeThread("copier", { ...options, onSpawn: () => undefined }, finality)
      ],
      { concurrency: 2 }
    )
    const checkpoint = (thread: Thread, mode: CheckpointMode) =>
      Effect.map(thread.call({ _tag: "Checkpoint", mode }, "Checkpointed"), ({ result }) => result)
    const compact = (thread: Thread, pageLimit: number) =>
      Effect.map(thread.call({ _tag: "Compact", pageLimit }, "Compacted"), ({ result }) => result)
    const run: SqliteConnection["Type"]["run"] = (group, durability) =>
      Effect.map(writer.call({ _tag: "Run", group, durability }, "Answered"), ({ answers }) => {
        logSync.committed(answers, durability)
        return finality.inspect(answers)
      })
    /** What could not be sent as one may be so for one write only: alone, each gets the answer that is its own. */
    const runAlone = (statements: ReadonlyArray<Statement>, durability: Durability) =>
      Effect.map(Effect.either(run([statements], durability)), (reply): WriteAnswer => {
        const answer = Either.isRight(reply) ? reply.right[0] : undefined
        if (answer !== undefined) return answer
        return { _tag: "Failed", fault: Either.isLeft(reply) ? reply.left : lost("no answer", "commit") }
      })
    return SqliteConnection.of({
      run: (group, durability) =>
        Effect.catchIf(
          run(group, durability),
          (fault) => fault.reason === "Rejected" && fault.phase === "queued" && group.length > 1,
          () => Effect.forEach(group, (statements) => runAlone(statements, durability))
        ),
      checkpoint: (mode) => checkpoint(writer, mode),
      compact: (pageLimit) => compact(writer, pageLimit),
      space: compact(checkpointer, 0),
      logState: checkpoint(checkpointer, "noop"),
      copyLog: checkpoint(checkpointer, "passive"),
      identity: FileIdentity.read(options.filename),
      untilStopped: finality.untilStopped,
      stop: (fault) => Effect.sync(() => finality.stop(fault)),
      isBusy: (failure) => isBusyFailure(failure)
    })
  })

/**
 * **Details**
 *
 * - Closes within 6 s when the engine still runs a statement, or the disk does not answer: that thread cannot be
 *   ended, is left behind, and is logged with the code `THREAD_STUCK`. `process.exit` waits for it too; a process that
 *   must end then ends with `process.kill(process.pid, "SIGKILL")`, which SQLite survives like any crash.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: SqliteThreadOptions): Layer.Layer<SqliteConnection, EngineFault> =>
  Layer.scoped(SqliteConnection, make(options))
