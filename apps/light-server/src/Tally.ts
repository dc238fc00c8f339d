/**
 * Counters, gauges and histograms with labels from closed sets. Values that a client can
 * choose are never labels: each combination is kept for as long as the process
 * lives.
 */
import { Metric, type MetricBoundaries, MetricKey, type MetricKeyType } from "effect"

/** A value for each label. None for a metric without labels. */
export type Labels<Label extends string> = { readonly [label in Label]: string }

/** What is known by the values of the labels so far, and by those that follow. */
interface Branch<M> {
  readonly branches: Map<string, Branch<M>>
  metric: M | undefined
}

/**
 * The metric of each combination of labels, made once. The labels are part of its key: a metric that is tagged
 * afterwards makes and hashes a key for every update.
 */
const seriesOf = <Type extends MetricKeyType.MetricKeyType<any, any>>(
  bare: MetricKey.MetricKey<Type>,
  labels: ReadonlyArray<string>
) => {
  type Series = Metric.Metric<Type, MetricKeyType.MetricKeyType.InType<Type>, MetricKeyType.MetricKeyType.OutType<Type>>
  const root: Branch<Series> = { branches: new Map(), metric: undefined }
  return (values: { readonly [label: string]: string }): Series => {
    // A text that is put together anew would be hashed anew, for every update.
    let branch = root
    for (const label of labels) {
      const value = values[label] ?? ""
      let next = branch.branches.get(value)
      if (next === undefined) branch.branches.set(value, (next = { branches: new Map(), metric: undefined }))
      branch = next
    }
    branch.metric ??= Metric.fromMetricKey(
      labels.reduce((key, label) => MetricKey.tagged(key, label, values[label] ?? ""), bare)
    )
    return branch.metric
  }
}

/** Adds to a counter, 1 by default. */
export const counter = <Label extends string = never>(
  name: string,
  description: string,
  labels: ReadonlyArray<Label> = []
): ((values: Labels<Label>, count?: number) => void) => {
  const of = seriesOf(MetricKey.counter(name, { description, incremental: true }), labels)
  return (values, count = 1) => of(values).unsafeUpdate(count, [])
}

/** Sets a gauge. */
export const gauge = <Label extends string = never>(
  name: string,
  description: string,
  labels: ReadonlyArray<Label> = []
): ((values: Labels<Label>, value: number) => void) => {
  const of = seriesOf(MetricKey.gauge(name, { description }), labels)
  return (values, value) => of(values).unsafeUpdate(value, [])
}

/** Adds a value to a histogram. */
export const histogram = <Label extends string>(
  name: string,
  boundaries: MetricBoundaries.MetricBoundaries,
  description: string,
  labels: ReadonlyArray<Label>
): ((values: Labels<Label>, value: number) => void) => {
  const of = seriesOf(MetricKey.histogram(name, boundaries, description), labels)
  return (values, value) => of(values).unsafeUpdate(value, [])
}
