/**
 * Measures both sides in turn, repeatedly.
 *
 * A shared machine is fast in one second and slow in the next. What is measured
 * side by side in the same second is slowed by the same amount, so each round
 * measures every side once, and the order turns around with every round.
 */

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

export interface Side {
  readonly median: number
  readonly min: number
  readonly max: number
}

const sideOf = (values: ReadonlyArray<number>): Side => ({
  median: median(values),
  min: Math.min(...values),
  max: Math.max(...values)
})

/** Three significant digits. */
export const digits = (value: number): string =>
  Math.abs(value) >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)))

export const spread = ({ max, min }: Side): string => `${digits(min)}-${digits(max)}`

export interface Rounds<Name extends string> {
  readonly sides: { readonly [N in Name]: Side }
  /** The median over the rounds of `a` by `b` in the same round, not the ratio of the medians. */
  readonly ratio: (a: Name, b: Name) => number
}

/** The first round warms up and is not counted. */
export const measure = async <Name extends string>(
  count: number,
  sides: { readonly [N in Name]: () => Promise<number> }
): Promise<Rounds<Name>> => {
  const names = Object.keys(sides) as Array<Name>
  const values = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<Name, Array<number>>
  for (let round = 0; round <= count; round++) {
    const order = round % 2 === 0 ? names : names.toReversed()
    for (const name of order) {
      const value = await sides[name]()
      if (round > 0) values[name].push(value)
    }
  }
  return {
    sides: Object.fromEntries(names.map((name) => [name, sideOf(values[name])])) as Record<Name, Side>,
    ratio: (a, b) => median(values[a].map((value, round) => value / (values[b][round] ?? Number.NaN)))
  }
}
