/** The metrics of Effect in the text format of Prometheus. */
import { Effect } from "effect"
import * as PromClient from "presence-effect/host/PromClient"
import * as Prometheus from "prom-client"

/** Media type of `render`. */
export const contentType: string = Prometheus.Registry.PROMETHEUS_CONTENT_TYPE

/** Every metric of the process as text, one family after the other. */
export const render: Effect.Effect<string> = Effect.promise(() => {
  // Metrics that Effect keeps about its own fibers are not part of the documented metrics.
  const known = PromClient.families().filter(({ name }) => !name.startsWith("effect_"))
  const registry = new Prometheus.Registry()
  PromClient.register(registry, Object.fromEntries(known.map(({ name, type }) => [name, type])))
  return registry.metrics()
})
