/** The three kinds of metric that the rooms of the library declare. */
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"

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
