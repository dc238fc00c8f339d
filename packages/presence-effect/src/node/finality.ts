/**
 * The end of a connection that failed for good: told to whoever waits for it, and to every later call.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { EngineFault, type WriteAnswer } from "../writer/SqliteConnection.ts"
import type { Answer } from "./sqliteEngine.ts"

export interface Finality {
  /** Lets a call through while the connection lasts, and looks at how it ends. */
  readonly guard: <A>(call: Effect.Effect<A, EngineFault>) => Effect.Effect<A, EngineFault>
  /** The answers of a group as the port has them; one of them may be the end. */
  readonly answersOf: (answers: ReadonlyArray<Answer>) => ReadonlyArray<WriteAnswer>
  readonly stop: (fault: EngineFault) => void
  readonly untilStopped: Effect.Effect<never, EngineFault>
}

export const make: Effect.Effect<Finality> = Effect.gen(function* () {
  const ended = yield* Deferred.make<never, EngineFault>()
  let last: EngineFault | undefined

  const stop = ({ code, detail }: EngineFault): void => {
    if (last !== undefined) return
    last = new EngineFault({ code, detail, phase: "queued", isFinal: true })
    Deferred.unsafeDone(ended, Effect.fail(last))
  }
  const heed = (fault: EngineFault): void => {
    if (fault.isFinal === true) stop(fault)
  }

  return {
    guard: (call) =>
      Effect.suspend(() =>
        last === undefined ? Effect.tapError(call, (fault) => Effect.sync(() => heed(fault))) : Effect.fail(last)
      ),
    answersOf: (answers) =>
      answers.map((answer): WriteAnswer => {
        if (answer._tag === "Done") return answer
        const fault = new EngineFault(answer.fault)
        heed(fault)
        return { _tag: "Failed", fault }
      }),
    stop,
    untilStopped: Deferred.await(ended)
  }
})
