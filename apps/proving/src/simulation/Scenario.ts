/** Derives from a seed everything that will happen to the server, as a value. */
import type { Fault, Operation } from "./Coverage.ts"
import { canMeet, faults, operations } from "./Coverage.ts"
import * as Dice from "./Dice.ts"

/** The time a client claims: this long ago (negative: from the future), one it has sent before, or an invalid one. */
export type Claim =
  | { readonly _tag: "Ago"; readonly millis: number }
  | { readonly _tag: "Again"; readonly choice: number }
  | { readonly _tag: "Nonsense" }

export type Action =
  | { readonly _tag: "Beat" | "End"; readonly row: number; readonly claim: Claim }
  | {
      readonly _tag: "Connect" | "Disconnect" | "Seen" | "Register" | "Remove" | "Message" | "Stranger"
      readonly row: number
    }
  | { readonly _tag: "Rename"; readonly row: number; readonly isStale: boolean }
  | { readonly _tag: "Prune" }
  /** A session appears from elsewhere, online and silent for long. */
  | { readonly _tag: "Import" }
  | { readonly _tag: "Opaque"; readonly lane: "control" | "data" | "maintenance"; readonly millis: number }
  /** Clients that write in the lane one write after the other, each as soon as the one before is answered. */
  | { readonly _tag: "Storm"; readonly lane: "control" | "data"; readonly clients: number; readonly count: number }
  /** The fault waits for the next such operation. */
  | { readonly _tag: "Fault"; readonly fault: Fault; readonly target: Operation; readonly millis: number }
  /** Another process holds the write lock. */
  | { readonly _tag: "Lock"; readonly millis: number }
  | { readonly _tag: "ReaderFails" | "ReaderPins"; readonly millis: number }

export interface Step {
  readonly atMillis: number
  readonly action: Action
  /** The client disconnects this long after its request. */
  readonly hangUpMillis?: number
}

/** Milliseconds, unless the name indicates otherwise. */
export interface Setting {
  readonly interval: number
  readonly persistThreshold: number
  readonly acceptanceWindow: number
  readonly offlineTimeout: number
  readonly sweepInterval: number
  readonly disconnectGrace: number
  readonly startGrace: number
  readonly drainTimeout: number
  readonly rowCapacity: number
  readonly chunkRows: number
  readonly groupLimit: number
  readonly bypassLimit: number
  readonly latency: number
  readonly readLatency: number
  readonly isShuffled: boolean
  readonly maxOpsBeforeYield: number
}

export interface Scenario {
  readonly seed: number
  readonly setting: Setting
  /** How far the clock of each row's client is ahead of the server's, in milliseconds. Negative: behind. */
  readonly skews: ReadonlyArray<number>
  /** In order of time. */
  readonly steps: ReadonlyArray<Step>
  readonly endMillis: number
}

/** The first are sessions, the others machines. */
export const sessionCount = 4
export const rowCount = 7

/** Everything falls on this grid, so that things happen at the same instant again and again. */
const grid = 5

const settingOf = (dice: Dice.Dice): Setting => ({
  interval: dice.pick([300, 500]),
  persistThreshold: dice.pick([0, 400, 1_200]),
  acceptanceWindow: dice.pick([4_000, 8_000]),
  offlineTimeout: dice.pick([2_000, 3_000]),
  sweepInterval: dice.pick([400, 700, 1_500]),
  disconnectGrace: dice.pick([400, 900]),
  startGrace: dice.pick([900, 1_500]),
  drainTimeout: 1_500,
  rowCapacity: dice.pick([5, 100, 100]),
  chunkRows: dice.pick([2, 50, 50]),
  groupLimit: dice.pick([1, 2, 4, 8]),
  bypassLimit: dice.pick([2, 4]),
  latency: dice.pick([5, 10, 20]),
  readLatency: dice.pick([0, 5]),
  isShuffled: dice.chance(0.5),
  maxOpsBeforeYield: dice.pick([13, 29, 64, 2_048])
})

const claimOf = (dice: Dice.Dice): Claim => {
  const kind = dice.next()
  if (kind < 0.5) return { _tag: "Ago", millis: dice.whole(0, 10) * grid }
  if (kind < 0.65) return { _tag: "Ago", millis: dice.whole(0, 600) * grid }
  if (kind < 0.72) return { _tag: "Ago", millis: dice.whole(600, 2_000) * grid }
  if (kind < 0.8) return { _tag: "Ago", millis: -dice.whole(1, 100_000) }
  if (kind < 0.97) return { _tag: "Again", choice: dice.next() }
  return { _tag: "Nonsense" }
}

/** Zero: the host's own client gets the error that the database is busy. */
const holdOf = (dice: Dice.Dice): number => dice.whole(0, dice.chance(0.4) ? 50 : 8) * grid

const arrivalOf = (dice: Dice.Dice): Action => {
  const row = dice.whole(0, rowCount - 1)
  const session = dice.whole(0, sessionCount - 1)
  const kind = dice.next()
  if (kind < 0.43) return { _tag: "Beat", row, claim: claimOf(dice) }
  if (kind < 0.53) return { _tag: "Connect", row }
  if (kind < 0.59) return { _tag: "Disconnect", row }
  if (kind < 0.68) return { _tag: "End", row, claim: claimOf(dice) }
  if (kind < 0.74) return { _tag: "Register", row }
  if (kind < 0.77) return { _tag: "Remove", row }
  if (kind < 0.84) return { _tag: "Message", row: session }
  if (kind < 0.92) return { _tag: "Rename", row: session, isStale: dice.chance(0.3) }
  if (kind < 0.94) return { _tag: "Prune" }
  if (kind < 0.96) return { _tag: "Import" }
  if (kind < 0.99) {
    return { _tag: "Opaque", lane: dice.pick(["control", "data", "maintenance"]), millis: holdOf(dice) }
  }
  return { _tag: "Stranger", row }
}

const mayHangUp: ReadonlySet<Action["_tag"]> = new Set(["End", "Register", "Remove", "Message", "Rename", "Prune"])

const hangUpOf = (dice: Dice.Dice, { _tag }: Action): Pick<Step, "hangUpMillis"> => {
  const probability = _tag === "Opaque" ? 0.5 : mayHangUp.has(_tag) ? 0.2 : 0
  return dice.chance(probability) ? { hangUpMillis: dice.whole(0, 12) * grid } : {}
}

const faultOf = (dice: Dice.Dice, fault: Fault, target: Operation): Action => {
  const stall = dice.chance(0.5) ? dice.whole(1, 30) * 100 : dice.whole(4, 50) * grid
  const millis = fault === "stall" ? stall : fault === "pause" ? dice.whole(1, 40) * 100 : jumpOf(dice)
  return { _tag: "Fault", fault, target, millis }
}

const pairs = faults.flatMap((fault) =>
  operations.filter((operation) => canMeet(fault, operation)).map((operation) => [fault, operation] as const)
)

/** A few combinations that every seed tries to cause, so that neighbouring seeds cause all of them. */
const featured = (seed: number): ReadonlyArray<readonly [Fault, Operation]> =>
  [0, 1, 2, 3, 4, 5].flatMap((index) => {
    const pair = pairs[(seed * 6 + index) % pairs.length]
    return pair === undefined ? [] : [pair]
  })

const jumpOf = (dice: Dice.Dice): number => dice.pick([50, 500, 3_000, 60_000])

/** In half of the worlds clocks of clients are wrong, by seconds, minutes or hours. */
const skewsOf = (dice: Dice.Dice): ReadonlyArray<number> => {
  const isWrong = dice.chance(0.5)
  return Array.from({ length: rowCount }, () => {
    const skew = dice.pick([0, 0, 3_000, 660_000, 3 * 3_600_000]) * dice.pick([1, -1])
    return isWrong ? skew : 0
  })
}

/** In some worlds the offline timeout is long, so that only a restart shows that a row has not come back. */
const patient = (setting: Setting, dice: Dice.Dice): Setting =>
  dice.chance(0.15) ? { ...setting, offlineTimeout: longTimeout } : setting

export const longTimeout = 30_000

export const make = (seed: number): Scenario => {
  const setting = patient(settingOf(Dice.make(seed, "setting")), Dice.make(seed, "patience"))
  const clocks = Dice.make(seed, "clocks")
  const skews = skewsOf(clocks)
  const arrivals = Dice.make(seed, "arrivals")
  const trouble = Dice.make(seed, "faults")
  const endMillis = arrivals.whole(3, 7) * 1_000
  const at = (dice: Dice.Dice): number => dice.whole(1, endMillis / grid) * grid
  const steps: Array<Step> = []
  const arrivalCount = arrivals.whole(50, 130)
  for (let index = 0; index < arrivalCount; index++) {
    const action = arrivalOf(arrivals)
    const atMillis = at(arrivals)
    steps.push({ atMillis, action, ...hangUpOf(arrivals, action) })
    // A row that ends was online a moment ago, and that may still wait to be written.
    if (action._tag === "End" && arrivals.chance(0.6)) {
      const claim: Claim = { _tag: "Ago", millis: 0 }
      const before = Math.max(grid, atMillis - arrivals.whole(0, 40) * grid)
      steps.push({ atMillis: before, action: { _tag: "Beat", row: action.row, claim } })
    }
  }
  for (let index = clocks.whole(0, 12); index > 0; index--) {
    steps.push({ atMillis: at(clocks), action: { _tag: "Seen", row: clocks.whole(0, rowCount - 1) } })
  }
  // A caller that disconnects in the very instant of the grant must pass the permit on.
  for (let index = 0; index < 2; index++) {
    const atMillis = at(arrivals)
    const millis = arrivals.whole(1, 8) * grid
    steps.push({ atMillis, action: { _tag: "Opaque", lane: "data", millis } })
    steps.push({ atMillis, action: { _tag: "Opaque", lane: "control", millis: grid }, hangUpMillis: millis })
  }
  if (arrivals.chance(0.3)) {
    const lane = arrivals.pick<"control" | "data">(["control", "data"])
    const action: Action = { _tag: "Storm", lane, clients: arrivals.whole(4, 14), count: arrivals.whole(6, 16) }
    steps.push({ atMillis: at(arrivals), action })
  }
  const faultCount = trouble.whole(0, 6)
  const arm = (atMillis: number, fault: Fault, target: Operation): void => {
    steps.push({ atMillis, action: faultOf(trouble, fault, target) })
    // A sweep has something to write only when a row was left online.
    if (target === "sweep") steps.push({ atMillis, action: { _tag: "Import" } })
  }
  for (let index = 0; index < faultCount; index++) {
    const fault = trouble.pick(faults)
    const targets = operations.filter((operation) => canMeet(fault, operation))
    const target = targets[trouble.whole(0, targets.length - 1)] ?? "flush"
    arm(at(trouble), fault, target)
  }
  for (const [fault, target] of featured(seed)) {
    // Early, so that the operation is likely to come.
    arm(Math.ceil(at(trouble) / 3), fault, target)
  }
  const stories = farewellsOf(Dice.make(seed, "farewells"), endMillis)
  const undisturbed = steps.filter((step) => !stories.some((story) => isDuring(step, story)))
  steps.splice(0, steps.length, ...undisturbed, ...stories.flatMap((story) => story.steps))
  steps.push(...outsideOf(trouble, () => at(trouble)))
  // A stable sort: what falls on one instant keeps the order in which it was thrown.
  return { seed, setting, skews, steps: steps.toSorted((a, b) => a.atMillis - b.atMillis), endMillis }
}

/** What happens to one row, without anything else about this row in between. */
interface Story {
  readonly row: number
  readonly fromMillis: number
  readonly untilMillis: number
  readonly steps: ReadonlyArray<Step>
}

const isDuring = ({ action, atMillis }: Step, { fromMillis, row, untilMillis }: Story): boolean =>
  "row" in action && action.row === row && atMillis >= fromMillis && atMillis <= untilMillis

/** A row that disconnected long ago is reported as ended late, and an earlier heartbeat arrives later still. */
const farewellsOf = (dice: Dice.Dice, endMillis: number): ReadonlyArray<Story> => {
  const farewells: Array<Story> = []
  for (let index = dice.chance(0.3) ? dice.whole(1, 3) : 0; index > 0; index--) {
    const row = dice.whole(0, rowCount - 1)
    const leftAt = dice.whole(1, endMillis / grid) * grid
    const leave: Step = { atMillis: leftAt, action: { _tag: "Disconnect", row } }
    const endAt = leftAt + dice.whole(200, 500) * grid
    const ago = dice.whole(20, 800) * grid
    const end: Step = { atMillis: endAt, action: { _tag: "End", row, claim: { _tag: "Ago", millis: ago } } }
    const beatAt = endAt + dice.whole(1, 8) * grid
    const claim: Claim = { _tag: "Ago", millis: dice.whole(1, ago) }
    const beat: Step = { atMillis: beatAt, action: { _tag: "Beat", row, claim } }
    farewells.push({ row, fromMillis: leftAt, untilMillis: beatAt, steps: [leave, leave, leave, end, beat] })
  }
  return farewells
}

/** What other processes do to the file, and to readers of it. */
const outsideOf = (trouble: Dice.Dice, at: () => number): ReadonlyArray<Step> => {
  const steps: Array<Step> = []
  if (trouble.chance(0.5)) {
    const millis = trouble.pick([200, 1_000, 3_000, 5_000])
    const atMillis = at()
    steps.push({ atMillis, action: { _tag: "Lock", millis } })
    // While callers try again and again: what they wait for must not depend on the wall clock.
    if (trouble.chance(0.3)) {
      const target = trouble.pick<Operation>(["message", "rename", "end"])
      steps.push({ atMillis, action: faultOf(trouble, "clock-back", target) })
    }
  }
  if (trouble.chance(0.2)) {
    const _tag = trouble.pick<"ReaderFails" | "ReaderPins">(["ReaderFails", "ReaderPins"])
    steps.push({ atMillis: at(), action: { _tag, millis: trouble.whole(1, 30) * 100 } })
  }
  return steps
}
