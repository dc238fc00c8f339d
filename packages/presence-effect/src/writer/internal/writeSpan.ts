/**
 * Spans of what waits for the permit: one for the call, and in it one for each wait and each hold. They exist only while
 * somebody collects them: without a tracer a write pays for one comparison.
 */
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import type { Lane } from "../Lane.ts"

/** Spans of the tracer that every fiber has go nowhere. */
const nowhere = Context.get(DefaultServices.liveServices, Tracer.Tracer)

/** The span of a call, or `undefined` while nobody collects spans. */
export type CallSpan = Tracer.Span | undefined

/** Runs `self` with the span of the call. */
export const withCallSpan = <A, E, R>(
  name: string,
  attributes: { readonly lane: Lane; readonly mode?: string },
  self: (span: CallSpan) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) =>
    Context.get(fiber.currentDefaultServices, Tracer.Tracer) === nowhere ||
    !fiber.getFiberRef(FiberRef.currentTracerEnabled)
      ? self(undefined)
      : Effect.useSpan(name, { captureStackTrace: false, attributes }, self)
  )

const notGranted = (): void => undefined

/** Runs one attempt. What is handed to it must be called when the permit is granted. */
export const withAttemptSpans = <A, E, R>(
  span: CallSpan,
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
