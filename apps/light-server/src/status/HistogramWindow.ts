/** Quantiles of what a histogram counted lately: the difference of two of its states. */

export interface Buckets {
  readonly count: number
  /** Upper bound and cumulative count, ascending. */
  readonly buckets: ReadonlyArray<readonly [bound: number, count: number]>
}

export const empty: Buckets = { count: 0, buckets: [] }

/** The sum of histograms with the same bounds. */
export const sum = (states: ReadonlyArray<Buckets>): Buckets =>
  states.reduce(
    (total, { buckets, count }) => ({
      count: total.count + count,
      buckets: buckets.map(([bound, value], index) => [bound, value + (total.buckets[index]?.[1] ?? 0)] as const)
    }),
    empty
  )

/** What was counted between two states. */
export const since = (before: Buckets, after: Buckets): Buckets => ({
  count: after.count - before.count,
  buckets: after.buckets.map(([bound, value], index) => [bound, value - (before.buckets[index]?.[1] ?? 0)] as const)
})

/**
 * The quantile, interpolated within its bucket. Above the last finite bound: that
 * bound. `undefined`: nothing was counted.
 */
export const quantile = ({ buckets, count }: Buckets, share: number): number | undefined => {
  if (count === 0) return undefined
  const rank = share * count
  let lower = 0
  let below = 0
  for (const [bound, value] of buckets) {
    if (!Number.isFinite(bound)) break
    if (value >= rank) return lower + ((bound - lower) * (rank - below)) / Math.max(1, value - below)
    lower = bound
    below = value
  }
  return lower
}
