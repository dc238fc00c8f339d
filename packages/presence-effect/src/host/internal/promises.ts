/** Effects as promises, and promises as bodies that hold the permit. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import { AsyncLocalStorage } from "node:async_hooks"
import type { Lane } from "../../writer/Lane.ts"
import { NestedPermit } from "../../writer/WriterError.ts"

/** The value, or the failure itself thrown: a caller without Effect has no use for an `Exit`. */
export const unwrap = <A, E>(exit: Exit.Exit<A, E>): A => {
  if (Exit.isSuccess(exit)) return exit.value
  throw Cause.squash(exit.cause)
}

export interface Promises {
  /** Runs `self`. Rejects with its failure, or with the reason of `signal` when that interrupted it. */
  readonly promise: <A, E>(self: Effect.Effect<A, E>, signal?: AbortSignal) => Promise<A>
  /** The same, unless a body asks for it that holds the permit. */
  readonly outside: <A, E>(lane: Lane, self: Effect.Effect<A, E>, signal?: AbortSignal) => Promise<A>
  /**
   * A body as an effect. An interruption aborts the signal of the body and waits until the body has settled, since it
   * uses the permit until then.
   */
  readonly bodyOf: <A>(lane: Lane, body: (signal: AbortSignal) => Promise<A>) => Effect.Effect<A, unknown>
}

export const make = (runtime: Runtime.Runtime<never>): Promises => {
  /** The body that the caller runs in: a promise has no fiber. */
  const around = new AsyncLocalStorage<{ readonly lane: Lane; isHeld: boolean }>()
  // On the runtime itself, not on its manager: after `close` the writer answers `WriterClosed`, typed as ever.
  const promise: Promises["promise"] = async (self, signal) => {
    const exit = await Runtime.runPromiseExit(runtime)(self, signal === undefined ? {} : { signal })
    if (signal?.aborted === true && Exit.isInterrupted(exit)) throw signal.reason
    return unwrap(exit)
  }
  const outside: Promises["outside"] = (lane, self, signal) => {
    const holder = around.getStore()
    return holder?.isHeld === true
      ? Promise.reject(new NestedPermit({ lane, holder: holder.lane }))
      : promise(self, signal)
  }
  const runBody = async <A>(lane: Lane, body: (signal: AbortSignal) => Promise<A>, signal: AbortSignal) => {
    const hold = { lane, isHeld: true }
    try {
      return await around.run(hold, () => body(signal))
    } finally {
      hold.isHeld = false
    }
  }
  const bodyOf: Promises["bodyOf"] = (lane, body) =>
    Effect.async((resume) => {
      const controller = new AbortController()
      const settled = runBody(lane, body, controller.signal).then(
        (value) => resume(Effect.succeed(value)),
        (reason: unknown) => resume(Effect.fail(reason))
      )
      return Effect.promise(() => {
        controller.abort()
        return settled
      })
    })
  return { promise, outside, bodyOf }
}
