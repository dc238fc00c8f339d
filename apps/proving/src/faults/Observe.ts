/**
 * Observations, made from a value and its limit.
 */
import type { Observation } from "./Scenario.ts"

export const atMost = (name: string, value: number, limit: number, unit = ""): Observation => ({
  name,
  value: Math.round(value * 100) / 100,
  limit: `at most ${limit}${unit === "" ? "" : ` ${unit}`}`,
  holds: value <= limit,
  isTime: unit === "ms" || unit === "s"
})

export const atLeast = (name: string, value: number, limit: number, unit = ""): Observation => ({
  name,
  value: Math.round(value * 100) / 100,
  limit: `at least ${limit}${unit === "" ? "" : ` ${unit}`}`,
  holds: value >= limit
})

export const equal = (name: string, value: number | string, expected: number | string): Observation => ({
  name,
  value,
  limit: String(expected),
  holds: value === expected
})

/** A question with yes or no for an answer. */
export const yes = (name: string, holds: boolean, otherwise = "no"): Observation => ({
  name,
  value: holds ? "yes" : otherwise,
  limit: "yes",
  holds
})

/** None of these may exist; the first few are shown. */
export const none = (name: string, problems: ReadonlyArray<unknown>): Observation => ({
  name,
  value:
    problems.length === 0
      ? 0
      : `${problems.length}: ${problems
          .slice(0, 3)
          .map((each) => JSON.stringify(each))
          .join(" ")}`,
  limit: "0",
  holds: problems.length === 0
})

/** Measured, and without a limit. */
export const figure = (name: string, value: number | string): Observation => ({
  name,
  value,
  limit: undefined,
  holds: true
})

/**
 * A comparison with the control of the same run. Where the control shows that the box decides, it proves nothing,
 * whether it holds or not. `doubt` is the reason.
 */
export const unless = (doubt: string | undefined, observation: Observation): Observation =>
  doubt === undefined ? observation : { ...observation, doubt }

/** A limit that depends on no control: met on a busy box, it is met; missed there, it proves nothing. */
export const excused = (doubt: string | undefined, observation: Observation): Observation =>
  observation.holds ? observation : unless(doubt, observation)
