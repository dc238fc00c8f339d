/**
 * Spans of what waits for the permit: one for the call, and in it one for each wait and each hold. They are made only
 * while a tracer is provided that keeps them; otherwise a write pays for one comparison.
 */
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import type { Lane } from "../Lane.ts"

/** The tracer that every fiber has by default. It keeps no spans. */
const defaultTracer = Context.get(DefaultServices.liveServices, Tracer.Tracer)

/** The span of a call, or `undefined` while no spans are kept. */
export type CallSpan = Tracer.Span | undefined

/** Runs `self` with the span of the call. */
export const withCallSpan = <A, E, R>(
  name: string,
  attributes: { readonly lane: Lane; readonly mode?: string },
  self: (span: CallSpan) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) =>
    Context.get(fiber.currentDefaultServices, Tracer.Tracer) === defaultTracer ||
    !fiber.getFiberRef(FiberRef.currentTracerEnabled)
      ? self(undefined)
      : Effect.useSpan(name, { captureStackTrace: false, attributes }, self)
  )

const notGranted = (): void => undefined

/** Runs one attempt. It must call `granted` when the permit is granted. */
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
