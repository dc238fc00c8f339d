/** What crosses between `RoundTripThread` and its thread. */
import type { SqlValue } from "presence-effect/writer/Write"

export interface EngineTerms {
  readonly filename: string
  readonly roundTripMillis: number
  /** Added to every commit, while the lock is held. Zero: the disk is as slow as it is. */
  readonly syncMillis: number
  /** How long SQLite waits for a lock in other hands. */
  readonly busyMillis: number
}

export interface Crossed {
  readonly number: number
  readonly sql: string
  readonly params: ReadonlyArray<SqlValue>
}

export interface Answered {
  readonly number: number
  /** `undefined`: done. */
  readonly error: string | undefined
}
