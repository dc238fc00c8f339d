/**
 * The current value of a metric of this process.
 */
import { Effect, Metric, MetricState } from "effect"

/** Sum over all labels, or over those that have one. */
export const valueOf = (
  name: string,
  label?: { readonly key: string; readonly value: string }
): Effect.Effect<number> =>
  Effect.map(Metric.snapshot, (pairs) =>
    pairs
      .filter(({ metricKey }) => metricKey.name === name)
      .filter(
        ({ metricKey }) =>
          label === undefined || metricKey.tags.some(({ key, value }) => key === label.key && value === label.value)
      )
      .reduce((sum, { metricState: state }) => {
        if (MetricState.isGaugeState(state)) return sum + Number(state.value)
        return MetricState.isCounterState(state) ? sum + Number(state.count) : sum
      }, 0)
  )
