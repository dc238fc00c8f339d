/** The crossing to an engine in a thread of its own. */
import { Effect, type Scope } from "effect"
import { Worker } from "node:worker_threads"
import { EngineFailed } from "./Engine.ts"
import type { Crossing } from "./FifoEngine.ts"
import type { Answered, Crossed, EngineTerms } from "./roundTripProtocol.ts"

// Node 20 runs no TypeScript in a thread: seen from the sources, the entry is the built one.
const entry = new URL(
  import.meta.url.endsWith(".ts") ? "../../dist/src/engines/roundTripEntry.js" : "./roundTripEntry.js",
  import.meta.url
)

export const make = (terms: EngineTerms): Effect.Effect<Crossing, never, Scope.Scope> =>
  Effect.gen(function* () {
    const thread = yield* Effect.acquireRelease(
      Effect.sync(() => new Worker(entry, { workerData: terms })),
      (thread) =>
        Effect.async<void>((resume) => {
          thread.once("exit", () => resume(Effect.void))
          thread.postMessage("close")
        })
    )
    const waiting = new Map<number, (error: string | undefined) => void>()
    let number = 0
    thread.on("message", (answer: Answered) => {
      const settle = waiting.get(answer.number)
      waiting.delete(answer.number)
      settle?.(answer.error)
    })
    const failAll = (detail: string) => {
      for (const settle of waiting.values()) settle(detail)
      waiting.clear()
    }
    thread.on("error", (error) => failAll(`the engine thread died: ${error.message}`))

    return ({ params, sql }) =>
      Effect.async<void, EngineFailed>((resume) => {
        const crossed: Crossed = { number: ++number, sql, params }
        waiting.set(crossed.number, (error) =>
          resume(error === undefined ? Effect.void : Effect.fail(new EngineFailed({ detail: error })))
        )
        thread.postMessage(crossed)
      })
  })
