/** What the scenario asks of a strategy. */
import type { Effect } from "effect"
import type { Lane } from "presence-effect/writer/Lane"
import type { PresenceKey } from "../PresenceKey.ts"
import type { Statement } from "presence-effect/writer/Write"

export interface Strategy {
  /** Succeeds when it is committed. Those without lanes make no difference between them. */
  readonly write: (lane: Lane, statements: ReadonlyArray<Statement>) => Effect.Effect<void, unknown>
  /** A sign of life, with the time of the wall clock. */
  readonly beat: (key: PresenceKey, atMillis: number) => void
}
