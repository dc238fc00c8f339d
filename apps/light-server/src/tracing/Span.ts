/** Spans, made only while they are exported: otherwise no object is made for them. */
import { Context, DefaultServices, Effect, Tracer } from "effect"

/** The tracer that every fiber has by default. It keeps no spans. */
const defaultTracer = Context.get(DefaultServices.liveServices, Tracer.Tracer)

/** The tracer that keeps spans; `undefined` while none are exported. */
export const keeper: Effect.Effect<Tracer.Tracer | undefined> = Effect.map(Effect.tracer, (tracer) =>
  tracer === defaultTracer ? undefined : tracer
)

/** The same effect within a span of its own, which is the parent of the spans in it. */
export const within =
  (name: string, attributes: Readonly<Record<string, unknown>>) =>
  <A, E>(self: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.withFiberRuntime((fiber) =>
      Context.get(fiber.currentDefaultServices, Tracer.Tracer) === defaultTracer
        ? self
        : Effect.withSpan(self, name, { kind: "server", captureStackTrace: false, attributes })
    )
