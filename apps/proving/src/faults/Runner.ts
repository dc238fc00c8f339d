/**
 * Runs one scenario after the other, and cleans up after each.
 */
import { Cause, Duration, Effect, Exit } from "effect"
import * as TimeLimit from "../drivers/TimeLimit.ts"
import * as Need from "./Need.ts"
import * as Box from "./support/Box.ts"
import type { Observation, Run, Scenario } from "./Scenario.ts"

/** `inconclusive`: what was missed, or could not be compared, was decided by a box that is too busy. */
export type Verdict = "passed" | "failed" | "skipped" | "inconclusive"

export interface Outcome {
  readonly id: string
  readonly title: string
  readonly injected: string
  readonly promises: ReadonlyArray<string>
  readonly verdict: Verdict
  readonly observations: ReadonlyArray<Observation>
  /** Why it was skipped, or what failed before anything could be observed. */
  readonly reason: string | undefined
  readonly seconds: number
  /** Runnable threads per processor when it ended: above 1, times depend as much on the box as on the server. */
  readonly crowding: number
}

const timed = <A>(scenario: Scenario, { isLong }: Run, effect: Effect.Effect<A, unknown>) => {
  const within = isLong ? (scenario.withinLong ?? scenario.within) : scenario.within
  return Effect.timeoutFailCause(effect, {
    duration: within,
    onTimeout: () => Cause.die(new Error(`not done within ${Duration.format(within)}`))
  })
}

/** A scenario without an observation proves nothing. */
export const verdictOf = (observations: ReadonlyArray<Observation>, isBusy: boolean): Verdict => {
  if (observations.every(({ limit }) => limit === undefined)) return "failed"
  // A number that is not finite was never measured.
  const isMeasured = ({ value }: Observation) => typeof value === "string" || Number.isFinite(value)
  const isUnclear = (each: Observation) =>
    isMeasured(each) && (each.doubt !== undefined || (isBusy && each.isTime === true))
  const missed = observations.filter(({ holds }) => !holds)
  if (!missed.every(isUnclear)) return "failed"
  return missed.length > 0 || observations.some(({ doubt }) => doubt !== undefined) ? "inconclusive" : "passed"
}

/** Why a verdict is inconclusive: the load of the box, where that is high, and the doubts of the observations. */
const reasonOf = (observations: ReadonlyArray<Observation>, load = "inconclusive, box too busy"): string =>
  [load, ...new Set(observations.flatMap(({ doubt }) => doubt ?? []))].join(": ")

/** Never fails: a scenario that dies has failed. It is interrupted with everything that it has started. */
export const run = (scenario: Scenario, run: Run): Effect.Effect<Outcome> =>
  Effect.suspend(() => {
    const { id, injected, promises, title } = scenario
    const facts = { id, title, injected, promises }
    const reasons = Need.reasons(scenario.needs)
    if (reasons.length > 0) {
      const reason = reasons.join("; ")
      return Effect.succeed<Outcome>({
        ...facts,
        verdict: "skipped",
        observations: [],
        reason,
        seconds: 0,
        crowding: 1
      })
    }
    return timed(scenario, run, Effect.scoped(scenario.run(run))).pipe(
      Effect.exit,
      Effect.timed,
      Effect.flatMap(([duration, exit]) => {
        const seconds = Math.round(Duration.toSeconds(duration) * 10) / 10
        const crowding = Math.round(Box.crowding() * 10) / 10
        if (Exit.isFailure(exit)) {
          if (Cause.isInterruptedOnly(exit.cause)) return Effect.interrupt
          const reason = Cause.pretty(exit.cause)
          return Effect.succeed<Outcome>({ ...facts, verdict: "failed", observations: [], reason, seconds, crowding })
        }
        const observations = exit.value
        const doubt = TimeLimit.doubt()
        const verdict = verdictOf(observations, doubt !== undefined)
        const reason = verdict === "inconclusive" ? reasonOf(observations, doubt) : undefined
        return Effect.succeed<Outcome>({ ...facts, verdict, observations, reason, seconds, crowding })
      })
    )
  })

const lineOf = ({ doubt, holds, limit, name, value }: Observation): string => {
  const mark = doubt === undefined ? (holds ? "observed" : "BROKEN  ") : "unclear "
  return limit === undefined ? `            ${name}: ${value}` : `  ${mark}  ${name}: ${value} (${limit})`
}

const endOf = ({ crowding, seconds, verdict }: Outcome): string =>
  `  ${verdict} after ${seconds} s${crowding > 1 ? `, the box ${crowding} times as busy as it can be` : ""}`

/** What was injected, what was observed, and the guarantee it proves. */
export const render = (outcome: Outcome): string =>
  [
    `${outcome.id}: ${outcome.title}`,
    `  injected  ${outcome.injected}`,
    ...outcome.observations.map(lineOf),
    ...(outcome.reason === undefined ? [] : [`  because   ${outcome.reason.replaceAll("\n", "\n            ")}`]),
    ...(outcome.verdict === "passed" ? [`  proves    ${outcome.promises.join(", ")}`] : []),
    endOf(outcome)
  ].join("\n")

export const count = (outcomes: ReadonlyArray<Outcome>, verdict: Verdict): number =>
  outcomes.filter((outcome) => outcome.verdict === verdict).length
