/** Metrics of the process and of its runtime, with the names that other programs of Node use. */
import { Effect } from "effect"
import { Histogram, Registry, collectDefaultMetrics } from "prom-client"

/**
 * Left out: the delay of the event loop, which the library resets at each
 * scrape (`event_loop_delay_seconds` is there instead), and series with labels
 * of an open set.
 */
const leftOut = /^nodejs_(eventloop_lag_|active_|heap_space_|version_info)/

const gcKinds = ["major", "minor", "incremental", "weakcb"]

const make = (): Registry => {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  for (const { name } of registry.getMetricsAsArray()) {
    if (leftOut.test(name)) registry.removeSingleMetric(name)
  }
  const pauses = registry.getSingleMetric("nodejs_gc_duration_seconds")
  if (pauses instanceof Histogram) for (const kind of gcKinds) pauses.zero({ kind })
  return registry
}

/** One per process: the library watches the garbage collector for as long as the process lives. */
let known: Registry | undefined

const registry = Effect.sync(() => (known ??= make()))

export const render: Effect.Effect<string> = Effect.flatMap(registry, (found) => Effect.promise(() => found.metrics()))

/** Begins to count, so that pauses before the first scrape are not missed. */
export const start: Effect.Effect<void> = Effect.asVoid(registry)
