/** The `Worker` of `@effect/platform` over a thread of Node: its end of the port. The other is `sqliteThreadEntry`. */
import * as Worker from "@effect/platform/Worker"
import { WorkerError } from "@effect/platform/WorkerError"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import type * as WorkerThreads from "node:worker_threads"

/** How long a thread may take to close its file before it is ended. */
const closeLimit = "5 seconds"

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
      const end = Effect.catchAllCause(Effect.timeout(Effect.interruptible(close), closeLimit), () =>
        Effect.promise(() => worker.terminate())
      )
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
