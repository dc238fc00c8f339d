/** Spans that are made only while a tracer is provided that keeps them; otherwise an effect pays for one comparison. */
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as Tracer from "effect/Tracer"

/** The tracer that every fiber has by default. It keeps no spans. */
const defaultTracer = Context.get(DefaultServices.liveServices, Tracer.Tracer)

/** The span of an effect, or `undefined` while no spans are kept. */
export type KeptSpan = Tracer.Span | undefined

/** The options of a span, with attributes that are known before it begins. Its stack is never captured. */
export type KeptSpanOptions = Omit<Tracer.SpanOptions, "captureStackTrace">

/** Runs one of two effects, by whether spans are kept. */
const whenKept = <A, E, R>(kept: () => Effect.Effect<A, E, R>, plain: () => Effect.Effect<A, E, R>) =>
  Effect.withFiberRuntime<A, E, R>((fiber) =>
    Context.get(fiber.currentDefaultServices, Tracer.Tracer) === defaultTracer ||
    !fiber.getFiberRef(FiberRef.currentTracerEnabled)
      ? plain()
      : kept()
  )

/** Runs an effect that is given its span. The span around it is the parent. */
export const useKeptSpan = <A, E, R>(
  name: string,
  options: KeptSpanOptions,
  self: (span: KeptSpan) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  whenKept(
    () => Effect.useSpan(name, { ...options, captureStackTrace: false }, self),
    () => self(undefined)
  )

/** The same effect within a span, which is the parent of the spans in it. */
export const withKeptSpan =
  (name: string, options: KeptSpanOptions = {}) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    whenKept(
      // The parent that a span needs is the one it finds, so the requirements stay as they are.
      () => Effect.withSpan(self, name, { ...options, captureStackTrace: false }) as Effect.Effect<A, E, R>,
      () => self
    )
