/** The kinds of metric that the rooms of the library declare, and their labels. */
import * as Arr from "effect/Array"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricLabel from "effect/MetricLabel"

/** Seconds from one small write to the longest hold a policy should allow. */
const secondsBoundaries = MetricBoundaries.fromIterable([
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15
])

export const counter = (name: string, description: string): Metric.Metric.Counter<number> =>
  Metric.counter(name, { description, incremental: true })

export const gauge = (name: string, description: string): Metric.Metric.Gauge<number> =>
  Metric.gauge(name, { description })

export const seconds = (name: string, description: string): Metric.Metric.Histogram<number> =>
  Metric.histogram(name, secondsBoundaries, description)

/**
 * `Metric.tagged`, for a metric that is updated often. That one puts the labels of the series together anew for every
 * update, so that the series is looked up by a new key each time: 2 µs instead of 0.1.
 */
export const tagged = <Type, In, Out>(
  metric: Metric.Metric<Type, In, Out>,
  label: string,
  value: string
): Metric.Metric<Type, In, Out> => {
  const own: ReadonlyArray<MetricLabel.MetricLabel> = [MetricLabel.make(label, value)]
  const known = new WeakMap<ReadonlyArray<MetricLabel.MetricLabel>, ReadonlyArray<MetricLabel.MetricLabel>>()
  /** The same array for the same array: a metric remembers its series by it. */
  const withOwn = (others: ReadonlyArray<MetricLabel.MetricLabel>) => {
    if (others.length === 0) return own
    let all = known.get(others)
    if (all === undefined) known.set(others, (all = Arr.union(own, others)))
    return all
  }
  return Metric.make(
    metric.keyType,
    (input, others) => metric.unsafeUpdate(input, withOwn(others)),
    (others) => metric.unsafeValue(withOwn(others)),
    (input, others) => metric.unsafeModify(input, withOwn(others))
  )
}
