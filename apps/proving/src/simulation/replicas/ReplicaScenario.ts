/** What happens to the replicas of one seed: who stops, when, and for how long. */
import * as Dice from "../Dice.ts"

export type Trouble =
  | { readonly _tag: "Crash"; readonly slot: number; readonly downMillis: number; readonly isPowerLoss: boolean }
  | { readonly _tag: "Suspend"; readonly slot: number; readonly millis: number }
  | { readonly _tag: "Restart"; readonly slot: number; readonly downMillis: number }
  | { readonly _tag: "DatabaseAway"; readonly millis: number }

export interface Step {
  readonly atMillis: number
  readonly trouble: Trouble
}

export interface Scenario {
  readonly seed: number
  /** How far the clock of each replica is ahead of that of the database. */
  readonly skews: ReadonlyArray<number>
  readonly sessionCount: number
  /** In order of time. */
  readonly steps: ReadonlyArray<Step>
  /** When all clients leave. */
  readonly endMillis: number
}

export const replicaCount = 3

const second = 1_000

/** One replica after the other, as a deployment does it. */
const rolling = (dice: Dice.Dice, fromMillis: number): ReadonlyArray<Step> =>
  Array.from({ length: replicaCount }, (_, slot) => ({
    atMillis: fromMillis + slot * dice.whole(8, 20) * second,
    trouble: { _tag: "Restart" as const, slot, downMillis: dice.whole(1, 4) * second }
  }))

const troubleOf = (dice: Dice.Dice): Trouble => {
  const slot = dice.whole(0, replicaCount - 1)
  const kind = dice.next()
  if (kind < 0.4) {
    return { _tag: "Crash", slot, downMillis: dice.whole(2, 90) * second, isPowerLoss: dice.chance(0.5) }
  }
  if (kind < 0.7) return { _tag: "Suspend", slot, millis: dice.pick([8, 20, 60, 60]) * second }
  return { _tag: "DatabaseAway", millis: dice.whole(2, 30) * second }
}

export const make = (seed: number): Scenario => {
  const dice = Dice.make(seed, "replicas")
  const isApart = dice.chance(0.7)
  const skews = Array.from({ length: replicaCount }, (_, slot) =>
    isApart ? [30_000, -30_000, 5_000][(slot + seed) % replicaCount]! : dice.whole(-200, 200)
  )
  const steps: Array<Step> = []
  let atMillis = dice.whole(30, 60) * second
  for (let index = dice.whole(2, 4); index > 0; index--) {
    if (dice.chance(0.25)) steps.push(...rolling(dice, atMillis))
    else steps.push({ atMillis, trouble: troubleOf(dice) })
    // Long enough for most troubles to end before the next one begins, and not for all.
    atMillis += dice.whole(30, 110) * second
  }
  return {
    seed,
    skews,
    sessionCount: 12,
    steps: steps.toSorted((a, b) => a.atMillis - b.atMillis),
    endMillis: atMillis + 30 * second
  }
}
