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
 * An observation that counts only where the control of the same run was quiet. Otherwise it is reported, and proves
 * nothing: the box was late already without the load.
 */
export const where = (isQuiet: boolean, observation: Observation): Observation =>
  isQuiet ? observation : { ...observation, name: `${observation.name} (inconclusive: box too busy)`, holds: true }
