/**
 * The metrics of the library, and any other of Effect, in a registry of prom-client.
 *
 * Only types are imported: it needs the registry that the host has, of prom-client 14 or 15.
 *
 * @since 0.3.0
 */
import * as Metric from "effect/Metric"
import type * as MetricPair from "effect/MetricPair"
import * as MetricState from "effect/MetricState"
import type { Registry } from "prom-client"

/**
 * @category models
 * @since 0.3.0
 */
export interface Sample {
  /** Where it is another than that of the family: `…_bucket`, `…_sum` and `…_count` of a histogram. */
  readonly metricName?: string
  readonly labels: Record<string, string | number>
  readonly value: number
}

/**
 * A metric with all its labels, as prom-client formats it.
 *
 * @category models
 * @since 0.3.0
 */
export interface Family {
  readonly name: string
  readonly help: string
  readonly type: "counter" | "gauge" | "histogram"
  readonly values: ReadonlyArray<Sample>
}

/**
 * The metrics of the library and their kinds. They are those of the process: two hosts in one process count together.
 *
 * @category metrics
 * @since 0.3.0
 */
export const library: Readonly<Record<string, Family["type"]>> = {
  presence_tracked: "gauge",
  presence_pending: "gauge",
  presence_oldest_pending_seconds: "gauge",
  presence_flush_seconds: "histogram",
  presence_flush_rows: "histogram",
  presence_flush_failures_total: "counter",
  presence_refused_total: "counter",
  presence_parked: "gauge",
  presence_coalesced_total: "counter",
  presence_rejected_total: "counter",
  presence_deferred_total: "counter",
  presence_lease_age_seconds: "gauge",
  presence_leases_lost_total: "counter",
  presence_takeovers_total: "counter",
  presence_clock_offset_seconds: "gauge",
  writer_queue_depth: "gauge",
  writer_queue_limit: "gauge",
  writer_wait_seconds: "histogram",
  writer_hold_seconds: "histogram",
  writer_writes_total: "counter",
  sqlite_wal_bytes: "gauge",
  sqlite_db_bytes: "gauge",
  sqlite_free_bytes: "gauge",
  sqlite_compacted_bytes_total: "counter",
  sqlite_checkpoint_busy_total: "counter"
}

const labelsOf = (pair: MetricPair.MetricPair.Untyped): Record<string, string> =>
  Object.fromEntries(pair.metricKey.tags.map(({ key, value }) => [key, value]))

const samplesOf = (
  name: string,
  labels: Record<string, string>,
  state: MetricState.MetricState.Untyped
): { readonly type: Family["type"]; readonly values: Array<Sample> } | undefined => {
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

/**
 * The counters, gauges and histograms of Effect in this process, sorted by name, except those with a name that
 * Prometheus does not accept. A metric without a value yet is missing.
 *
 * @category getters
 * @since 0.3.0
 */
export const families = (): ReadonlyArray<Family> => {
  const found = new Map<string, Family & { readonly values: Array<Sample> }>()
  for (const pair of Metric.unsafeSnapshot()) {
    const { description, name } = pair.metricKey
    const samples = samplesOf(name, labelsOf(pair), pair.metricState)
    if (samples === undefined || !/^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name)) continue
    const family = found.get(name)
    if (family === undefined) {
      found.set(name, { name, help: description._tag === "Some" ? description.value : name, ...samples })
    } else if (family.type === samples.type) {
      family.values.push(...samples.values)
    }
  }
  return [...found.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

/**
 * Registers the metrics of the library in `registry`, or `metrics`, by name and kind. They are read at each scrape;
 * nothing runs between two scrapes. Returns the function that removes them again.
 *
 * **Errors**: throws what prom-client does when `registry` has a metric of one of the names already. Nothing is
 * registered then.
 *
 * @example
 * import * as PromClient from "presence-effect/host/PromClient"
 * import { register } from "prom-client"
 *
 * PromClient.register(register)
 *
 * @category constructors
 * @since 0.3.0
 */
export const register = (
  registry: Registry,
  metrics: Readonly<Record<string, Family["type"]>> = library
): (() => void) => {
  const registered: Array<string> = []
  const unregister = () => {
    for (const name of registered.splice(0)) registry.removeSingleMetric(name)
  }
  // One snapshot serves a scrape, which calls `get` of every metric in the same step.
  let snapshot: ReadonlyMap<string, Family> | undefined
  const familyOf = (name: string): Family | undefined => {
    if (snapshot === undefined) {
      snapshot = new Map(families().map((family) => [family.name, family]))
      queueMicrotask(() => {
        snapshot = undefined
      })
    }
    return snapshot.get(name)
  }
  try {
    for (const [name, type] of Object.entries(metrics)) {
      // prom-client calls `get` only, and shortens the name of a counter for OpenMetrics.
      const collector = {
        name,
        help: name,
        type,
        aggregator: "sum",
        get: () =>
          Promise.resolve({ help: name, type, values: [], ...familyOf(name), name: collector.name, aggregator: "sum" }),
        reset: () => undefined
      }
      registry.registerMetric(collector as never)
      registered.push(name)
    }
  } catch (error) {
    unregister()
    throw error
  }
  return unregister
}
