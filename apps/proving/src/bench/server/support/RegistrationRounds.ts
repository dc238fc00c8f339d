/**
 * The tail of registrations under several loads, which take turns. Each round compares its own turns: a stall of a
 * shared disk, or of the machine, meets one turn and not all.
 */
import type * as hdr from "hdr-histogram-js"
import * as Rounds from "../../Rounds.ts"
import * as Registrations from "./Registrations.ts"

export interface Load {
  readonly perSecond: number
  /** Length of one turn. */
  readonly turnMillis: number
  readonly register: () => Promise<void>
}

export interface Tails<Name extends string> {
  /** p99 of each round in milliseconds: the median over the rounds, the lowest and the highest. */
  readonly sides: Rounds.Rounds<Name>["sides"]
  /** The median over the rounds of the p99 of `a` by that of `b` in the same round. */
  readonly ratio: (a: Name, b: Name) => number
  /** What all rounds come to together, for the note of a result. */
  readonly together: (a: Name, b: Name) => string
}

/** Each side starts its load, and returns what stops it. The first round warms up and is not counted. */
export const measure = async <Name extends string>(
  roundCount: number,
  { perSecond, register, turnMillis }: Load,
  sides: { readonly [N in Name]: () => () => void }
): Promise<Tails<Name>> => {
  const names = Object.keys(sides) as Array<Name>
  const whole = Object.fromEntries(names.map((name) => [name, Registrations.makeHistogram()])) as Record<
    Name,
    hdr.Histogram
  >
  let turnCount = 0
  const turn = async (name: Name): Promise<number> => {
    // Each round has the same arrivals for all sides.
    const round = Math.floor(turnCount++ / names.length)
    const latency = Registrations.makeHistogram()
    const stop = sides[name]()
    await Registrations.record(latency, { perSecond, forMillis: turnMillis, seed: round + 1 }, register)
    stop()
    if (round > 0) whole[name].add(latency)
    return Registrations.percentileMillis(latency, 99)
  }
  const turns = Object.fromEntries(names.map((name) => [name, () => turn(name)])) as Record<Name, () => Promise<number>>
  const rounds = await Rounds.measure(roundCount, turns)
  const percentiles = (name: Name) => {
    const [p50, p99] = [50, 99].map((at) => Rounds.digits(Registrations.percentileMillis(whole[name], at)))
    return `p50 ${p50}, p99 ${p99}`
  }
  return {
    ...rounds,
    together: (a, b) => `of ${whole[a].totalCount} together: ${percentiles(a)} against ${percentiles(b)} ms`
  }
}
