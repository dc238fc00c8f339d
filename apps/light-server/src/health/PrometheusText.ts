/** The metrics of Effect in the text format of Prometheus. */
import { Effect, Metric, type MetricPair, MetricState } from "effect"
import * as Prometheus from "prom-client"

interface Sample {
  readonly metricName?: string
  readonly labels: Record<string, string | number>
  readonly value: number
}

interface Family {
  readonly name: string
  readonly help: string
  readonly type: "counter" | "gauge" | "histogram"
  readonly values: Array<Sample>
}

const labelsOf = (pair: MetricPair.MetricPair.Untyped): Record<string, string> =>
  Object.fromEntries(pair.metricKey.tags.map(({ key, value }) => [key, value]))

const samplesOf = (
  name: string,
  labels: Record<string, string>,
  state: MetricState.MetricState.Untyped
): Pick<Family, "type" | "values"> | undefined => {
  if (MetricState.isCounterState(state)) return { type: "counter", values: [{ labels, value: Number(state.count) }] }
  if (MetricState.isGaugeState(state)) return { type: "gauge", values: [{ labels, value: Number(state.value) }] }
  if (!MetricState.isHistogramState(state)) return undefined
  // The buckets of Effect are cumulative already, as this format requires; the last one is the count.
  const buckets = state.buckets
    .filter(([bound]) => Number.isFinite(bound))
    .map(([bound, count]) => ({ metricName: `${name}_bucket`, labels: { ...labels, le: bound }, value: count }))
  return {
    type: "histogram",
    values: [
      ...buckets,
      { metricName: `${name}_bucket`, labels: { ...labels, le: "+Inf" }, value: state.count },
      { metricName: `${name}_sum`, labels, value: state.sum },
      { metricName: `${name}_count`, labels, value: state.count }
    ]
  }
}

const familiesOf = (pairs: ReadonlyArray<MetricPair.MetricPair.Untyped>): ReadonlyArray<Family> => {
  const families = new Map<string, Family>()
  for (const pair of pairs) {
    const name = pair.metricKey.name
    const samples = samplesOf(name, labelsOf(pair), pair.metricState)
    // Metrics that Effect keeps about its own fibers are not part of the documented metrics.
    if (samples === undefined || name.startsWith("effect_") || !/^[a-z][a-z0-9_]*$/.test(name)) continue
    const family = families.get(name)
    if (family === undefined) {
      const help = pair.metricKey.description
      families.set(name, { name, help: help._tag === "Some" ? help.value : name, ...samples })
    } else if (family.type === samples.type) {
      family.values.push(...samples.values)
    }
  }
  return [...families.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

/** Media type of `render`. */
export const contentType: string = Prometheus.Registry.PROMETHEUS_CONTENT_TYPE

/** Every metric of the process as text, one family after the other. */
export const render: Effect.Effect<string> = Metric.snapshot.pipe(
  Effect.flatMap((pairs) =>
    Effect.promise(() => {
      // The registry formats and escapes; a family only has to implement `get`.
      const registry = new Prometheus.Registry()
      for (const family of familiesOf(pairs)) {
        registry.registerMetric({ ...family, get: () => Promise.resolve(family) } as never)
      }
      return registry.metrics()
    })
  )
)
