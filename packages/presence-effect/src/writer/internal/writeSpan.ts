/** Spans of what waits for the permit, in the span of its call: one for each wait and each hold. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { KeptSpan } from "../../internal/keptSpan.ts"

const notGranted = (): void => undefined

/** Runs one attempt. It must call `granted` when the permit is granted. */
export const withAttemptSpans = <A, E, R>(
  span: KeptSpan,
  attempt: (granted: () => void) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => {
  if (span === undefined) return attempt(notGranted)
  return Effect.flatMap(Effect.all([Effect.tracer, Effect.clock]), ([tracer, clock]) => {
    const begin = (name: string) => {
      const now = clock.unsafeCurrentTimeNanos()
      return tracer.span(name, Option.some(span), Context.empty(), [], now, "internal")
    }
    let current = begin("writer.wait")
    return Effect.onExit(
      attempt(() => {
        current.end(clock.unsafeCurrentTimeNanos(), Exit.void)
        current = begin("writer.hold")
      }),
      (exit) => Effect.sync(() => current.end(clock.unsafeCurrentTimeNanos(), exit))
    )
  })
}
