/**
 * A fault that is done to the server for real, and what must be seen meanwhile
 * and afterwards.
 */
import type { Duration, Effect, Scope } from "effect"
import type { Need } from "./Need.ts"

/** Something that was looked at or measured. A scenario fails when one of them does not hold. */
export interface Observation {
  readonly name: string
  readonly value: number | string
  /** What the value may be; nothing for a figure that binds nobody. */
  readonly limit: string | undefined
  readonly holds: boolean
}

/** How a scenario is asked to run. */
export interface Run {
  /** Every point instead of a few of them. */
  readonly isLong: boolean
  /** What random moments are made from; the same number repeats them. */
  readonly seed: number
}

export interface Scenario {
  /** Number in the catalogue, `F1` to `F43`. */
  readonly id: string
  readonly title: string
  /** What is done to the server. */
  readonly injected: string
  /** The promises of docs/reliability.md that stand or fall with it. */
  readonly promises: ReadonlyArray<string>
  /** What the machine must offer. */
  readonly needs: ReadonlyArray<Need>
  /** Whether it is among those that every change must pass. */
  readonly isQuick: boolean
  /** Longest time a run may take. */
  readonly within: Duration.DurationInput
  /** The same for a long run, if that differs. */
  readonly withinLong?: Duration.DurationInput
  /** Whatever it starts, mounts or attaches is gone when the scope closes. */
  readonly run: (run: Run) => Effect.Effect<ReadonlyArray<Observation>, unknown, Scope.Scope>
}
