/** Runs one seed of the replicas after the other until one breaks a guarantee. */
import { setImmediate } from "node:timers/promises"
import type { Counts } from "./PromiseAuditor.ts"
import * as ReplicaSimulation from "./ReplicaSimulation.ts"

export interface Found {
  /** Seeds that were run, the broken one included. */
  readonly seedCount: number
  readonly broken: ReplicaSimulation.Outcome | undefined
  readonly counts: Counts
  readonly lineCount: number
}

export const run = async (from: number, count: number): Promise<Found> => {
  const counts: Counts = { offline: 0, told: 0, whileThere: 0, sessionSeconds: 0, falseSeconds: 0 }
  let lineCount = 0
  for (let index = 0; index < count; index++) {
    // Seeds are 32 bits: after the last comes the first.
    const outcome = ReplicaSimulation.run((from + index) % 2 ** 32)
    for (const name of Object.keys(counts) as ReadonlyArray<keyof Counts>) counts[name] += outcome.counts[name]
    lineCount += outcome.lineCount
    if (outcome.violation !== undefined) return { seedCount: index + 1, broken: outcome, counts, lineCount }
    // Yields, so that signals can stop the search.
    // oxlint-disable-next-line no-await-in-loop
    await setImmediate()
  }
  return { seedCount: count, broken: undefined, counts, lineCount }
}

export const render = ({ falseSeconds, offline, sessionSeconds, told, whileThere }: Counts): string =>
  `${offline} rows became offline, ${told} were told; ${sessionSeconds} seconds of sessions with a client, ` +
  `${falseSeconds} of them not shown yet; ${whileThere} shown offline less than a tick after the client came`
