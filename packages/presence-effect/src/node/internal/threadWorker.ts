/** The `Worker` of `@effect/platform` over a thread of Node: its end of the port. The other is `sqliteThreadEntry`. */
import * as Worker from "@effect/platform/Worker"
import { WorkerError } from "@effect/platform/WorkerError"
import * as Deferred from "effect/Deferred"
import type { DurationInput } from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type * as WorkerThreads from "node:worker_threads"
import { withinFinalizer } from "../../internal/withinFinalizer.ts"

/** How long a thread may take to close its file before it is ended. */
const closeLimit = "5 seconds"

/** How long it may take to end then. While a statement or the disk has it, nothing in the process can end it. */
const endLimit = "1 second"

const stuck =
  "a thread of the database is stuck in a statement or in the disk and was left behind: " +
  "process.exit waits for it, only SIGKILL ends the process before it comes back"

const platform = Worker.makePlatform<WorkerThreads.Worker>()({
  setup: ({ scope, worker }) =>
    Effect.gen(function* () {
      const exited = yield* Deferred.make<void>()
      worker.once("exit", () => Deferred.unsafeDone(exited, Effect.void))
      const close = Effect.suspend(() => {
        // A thread has no origin.
        // oxlint-disable-next-line unicorn/require-post-message-target-origin
        worker.postMessage([1])
        return Deferred.await(exited)
      })
      const isOver = (limit: DurationInput, self: Effect.Effect<void>) =>
        Effect.map(withinFinalizer(limit)(self), Option.isSome)
      const end = Effect.gen(function* () {
        if (yield* Effect.catchAllCause(isOver(closeLimit, close), () => Effect.succeed(false))) return
        // Its promise is not waited for: it is kept only when the thread comes back.
        worker.terminate().catch(() => undefined)
        if (yield* isOver(endLimit, Deferred.await(exited))) return
        yield* Effect.logError(stuck).pipe(Effect.annotateLogs("code", "THREAD_STUCK"))
      })
      yield* Scope.addFinalizer(scope, end)
      return worker
    }),
  listen: ({ deferred, emit, port }) =>
    Effect.sync(() => {
      const fail = (reason: WorkerError["reason"], cause: unknown) =>
        Deferred.unsafeDone(deferred, Effect.fail(new WorkerError({ reason, cause })))
      port.on("message", emit)
      port.on("messageerror", (cause) => fail("decode", cause))
      port.on("error", (cause) => fail("unknown", cause))
      port.on("exit", (code) => fail("unknown", new Error(`exit code ${code}`)))
    })
})

export const layer = (
  spawn: (id: number) => WorkerThreads.Worker
): Layer.Layer<Worker.WorkerManager | Worker.Spawner> =>
  Layer.merge(
    Layer.provide(Worker.layerManager, Layer.succeed(Worker.PlatformWorker, platform)),
    Worker.layerSpawner(spawn)
  )
