/** Traces of the server, if they are asked for. */
import { Effect, Layer } from "effect"
import type { TraceOptions } from "./TraceKnobs.ts"

/** Nothing is loaded without options: the SDK of OpenTelemetry takes time and memory. */
export const layer = (options: TraceOptions | undefined, closeLimitMillis: number): Layer.Layer<never> =>
  options === undefined
    ? Layer.empty
    : Layer.unwrapEffect(
        Effect.map(
          Effect.promise(() => import("./TraceExport.ts")),
          (module) => module.layer(options, closeLimitMillis)
        )
      )
