/** The terms of one kind, in milliseconds. */
import * as Duration from "effect/Duration"
import type { KindTerms } from "../PresenceKind.ts"

export interface TableOptions {
  readonly thresholdMillis: number
  readonly windowMillis: number
  readonly timeoutMillis: number
  readonly graceMillis: number
}

export const make = (terms: KindTerms): TableOptions => ({
  thresholdMillis: Duration.toMillis(terms.persistThreshold),
  windowMillis: Duration.toMillis(terms.acceptanceWindow),
  timeoutMillis: Duration.toMillis(terms.offlineTimeout),
  graceMillis: Duration.toMillis(terms.disconnectGrace)
})
