import type * as Clock from "effect/Clock"
import { labelled } from "../DatabaseName.ts"
import type { Lane } from "../Lane.ts"
import * as WriterMetrics from "../WriterMetrics.ts"
import type { WriterError } from "../WriterError.ts"
import type { ResolvedPolicy } from "../WriterPolicy.ts"

/** What the writer remembers of its work: for its status, and for the metrics of each lane. */
export interface WriterJournal {
  readonly queued: (lane: Lane, waiterCount: number) => void
  readonly waited: (lane: Lane, millis: number) => void
  readonly holding: (lane: Lane) => void
  readonly held: (lane: Lane, millis: number) => void
  /** The engine, or the body of a host, has committed. */
  readonly committed: () => void
  /** An attempt failed. */
  readonly failed: (error: WriterError) => void
  /** The outcome that the caller of a write gets, once for all of its attempts. */
  readonly told: (lane: Lane, outcome: string) => void
  readonly holder: () => { readonly lane: Lane; readonly sinceMillis: number } | undefined
  readonly lastCommitMillis: () => number | undefined
  readonly lastFailure: () => { readonly tag: WriterError["_tag"]; readonly atMillis: number } | undefined
}

/** Failures of the engine; the others concern only the caller. */
const isEngineTrouble = ({ _tag }: WriterError): boolean => /^(Database|Connection)/.test(_tag)

const lazily = <A>(make: (lane: Lane, name: string) => A) => {
  const made = new Map<string, A>()
  return (lane: Lane, name: string): A => {
    const key = `${lane}/${name}`
    let one = made.get(key)
    if (one === undefined) made.set(key, (one = make(lane, name)))
    return one
  }
}

export const make = (policy: ResolvedPolicy, clock: Clock.Clock, database?: string): WriterJournal => {
  const label = labelled(database)
  const depth = lazily((lane) => label(WriterMetrics.queueDepth(lane)))
  const wait = lazily((lane) => label(WriterMetrics.waitSeconds(lane)))
  const hold = lazily((lane) => label(WriterMetrics.holdSeconds(lane)))
  const outcomes = lazily((lane, outcome) => label(WriterMetrics.writes(lane, outcome)))
  const update = (
    metric: { readonly unsafeUpdate: (value: number, tags: ReadonlyArray<never>) => void },
    value: number
  ) => metric.unsafeUpdate(value, [])

  const monotonicMillis = () => Number(clock.unsafeCurrentTimeNanos()) / 1e6
  /**
   * A monotonic time on the wall clock as that goes now: its distance from the wall clock is the true age, however
   * often the clock was set in between.
   */
  const onWall = (monotonic: number): number =>
    Math.round(clock.unsafeCurrentTimeMillis() - (monotonicMillis() - monotonic))

  /** One for each permit that is held, the oldest first. */
  const holders: Array<{ readonly lane: Lane; readonly since: number }> = []
  let lastCommit: number | undefined
  let lastFailure: { readonly tag: WriterError["_tag"]; readonly at: number } | undefined

  for (const { capacity, lane } of policy.lanes) {
    update(label(WriterMetrics.queueLimit(lane)), capacity)
    update(depth(lane, ""), 0)
  }

  return {
    queued: (lane, waiterCount) => update(depth(lane, ""), waiterCount),
    waited: (lane, millis) => update(wait(lane, ""), millis / 1_000),
    holding: (lane) => {
      holders.push({ lane, since: monotonicMillis() })
    },
    held: (lane, millis) => {
      holders.splice(
        holders.findIndex((holder) => holder.lane === lane),
        1
      )
      update(hold(lane, ""), millis / 1_000)
    },
    committed: () => {
      lastCommit = monotonicMillis()
      lastFailure = undefined
    },
    failed: (error) => {
      if (isEngineTrouble(error)) lastFailure = { tag: error._tag, at: monotonicMillis() }
    },
    told: (lane, outcome) => update(outcomes(lane, outcome), 1),
    holder: () => holders[0] && { lane: holders[0].lane, sinceMillis: onWall(holders[0].since) },
    lastCommitMillis: () => (lastCommit === undefined ? undefined : onWall(lastCommit)),
    lastFailure: () => lastFailure && { tag: lastFailure.tag, atMillis: onWall(lastFailure.at) }
  }
}
