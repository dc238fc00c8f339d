/** Entry of the thread that owns one connection. Started by `SqliteThread` only. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeWorkerRunner from "@effect/platform-node/NodeWorkerRunner"
import * as WorkerRunner from "@effect/platform/WorkerRunner"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Fault } from "./engineFault.ts"
import * as Engine from "./sqliteEngine.ts"
import type { Reply, Request } from "./sqliteThreadProtocol.ts"

let engine: Engine.Engine | undefined

const answer = (request: Request): Reply => {
  if (request._tag === "Open") {
    try {
      engine = Engine.open(request.options)
      return engine.files()
    } catch (fault) {
      return fault as Fault
    }
  }
  if (engine === undefined) return { code: "SQLITE_MISUSE", detail: "the connection is not open", phase: "queued" }
  return request._tag === "Run" ? engine.run(request.group, request.durability) : engine.checkpoint(request.mode)
}

const runner = WorkerRunner.layer((request: Request) => Effect.sync(() => answer(request)))

const closing = Layer.scopedDiscard(Effect.addFinalizer(() => Effect.sync(() => engine?.close())))

NodeRuntime.runMain(WorkerRunner.launch(Layer.mergeAll(runner, closing).pipe(Layer.provide(NodeWorkerRunner.layer))))
