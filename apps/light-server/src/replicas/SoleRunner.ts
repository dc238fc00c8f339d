/** Work in the background that only one replica does at a time. */
import { Context, Effect, Option } from "effect"

export interface SoleRunner {
  /** Runs the work, unless another replica is running the one of the same name. None: it was not run. */
  readonly attempt: <A, E, R>(work: string, effect: Effect.Effect<A, E, R>) => Effect.Effect<Option.Option<A>, E, R>
}

/** Without other replicas every attempt is the only one. */
export class Runner extends Context.Reference<Runner>()("light-server/Runner", {
  defaultValue: (): SoleRunner => ({ attempt: (_, effect) => Effect.map(effect, Option.some) })
}) {}
