/** The end of a connection that failed for good: every later call fails with it. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { EngineFault, type WriteAnswer } from "../../writer/SqliteConnection.ts"

export interface Finality {
  /** Lets a call through while the connection lasts, and looks at how it ends. */
  readonly guard: <A>(call: Effect.Effect<A, EngineFault>) => Effect.Effect<A, EngineFault>
  /** Looks at the answers of a group: one of them may be the end. */
  readonly inspect: (answers: ReadonlyArray<WriteAnswer>) => ReadonlyArray<WriteAnswer>
  readonly stop: (fault: EngineFault) => void
  readonly untilStopped: Effect.Effect<never, EngineFault>
}

export const make: Effect.Effect<Finality> = Effect.gen(function* () {
  const ended = yield* Deferred.make<never, EngineFault>()
  let last: EngineFault | undefined

  const stop = ({ code, detail, reason }: Pick<EngineFault, "code" | "detail" | "reason">): void => {
    if (last !== undefined) return
    last = new EngineFault({ reason, code, detail, phase: "queued", isFinal: true })
    Deferred.unsafeDone(ended, Effect.fail(last))
  }

  return {
    guard: (call) =>
      Effect.suspend(() => {
        if (last !== undefined) return Effect.fail(last)
        return Effect.tapError(call, (fault) => Effect.sync(() => (fault.isFinal === true ? stop(fault) : undefined)))
      }),
    inspect: (answers) => {
      for (const answer of answers) {
        if (answer._tag === "Failed" && answer.fault.isFinal === true) stop(answer.fault)
      }
      return answers
    },
    stop,
    untilStopped: Deferred.await(ended)
  }
})
