/**
 * A fault that is injected into the real server, and what must be observed
 * meanwhile and afterwards.
 */
import type { Duration, Effect, Scope } from "effect"
import type { Need } from "./Need.ts"

/** An observation. A scenario fails when one of them does not hold. */
export interface Observation {
  readonly name: string
  readonly value: number | string
  /** The limit of the value; absent for a figure without a limit. */
  readonly limit: string | undefined
  readonly holds: boolean
  /** It is a time: on a box that is too busy, a missed limit proves nothing. */
  readonly isTime?: boolean
  /** Why it proves nothing about the server, whatever came out: what the control of the same run showed. */
  readonly doubt?: string
}

/** How a scenario is asked to run. */
export interface Run {
  /** Every point instead of a few of them. */
  readonly isLong: boolean
  /** What random moments are made from; the same number repeats them. */
  readonly seed: number
}

export interface Scenario {
  /** Number in the catalogue, `F1` to `F45`. */
  readonly id: string
  readonly title: string
  /** What is done to the server. */
  readonly injected: string
  /** The guarantees of docs/reliability.md that it tests. */
  readonly promises: ReadonlyArray<string>
  /** What the machine must offer. */
  readonly needs: ReadonlyArray<Need>
  /** Whether every change must pass it. */
  readonly isQuick: boolean
  /** Longest time a run may take. */
  readonly within: Duration.DurationInput
  /** The same for a long run, if that differs. */
  readonly withinLong?: Duration.DurationInput
  /** Whatever it starts, mounts or attaches is removed when the scope closes. */
  readonly run: (run: Run) => Effect.Effect<ReadonlyArray<Observation>, unknown, Scope.Scope>
}
