import type * as Clock from "effect/Clock"
import type { Lane } from "../Lane.ts"
import * as PresenceMetrics from "../PresenceMetrics.ts"
import type { WriterError } from "../WriterError.ts"
import type { ResolvedPolicy } from "../WriterPolicy.ts"

/** What the writer remembers of its work: for its status, and for the metrics of each lane. */
export interface WriterJournal {
  readonly queued: (lane: Lane, waiterCount: number) => void
  readonly waited: (lane: Lane, millis: number) => void
  readonly holding: (lane: Lane) => void
  readonly held: (lane: Lane, millis: number) => void
  readonly committed: (lane: Lane) => void
  readonly failed: (error: WriterError) => void
  readonly holder: () => { readonly lane: Lane; readonly sinceMillis: number } | undefined
  readonly lastCommitMillis: () => number | undefined
  readonly lastFailure: () => { readonly tag: WriterError["_tag"]; readonly atMillis: number } | undefined
}

/** Failures that say something about the engine; the others are answers to the caller alone. */
const isEngineTrouble = ({ _tag }: WriterError): boolean => _tag.startsWith("Database") || _tag === "ConnectionLost"

const lazily = <A>(make: (lane: Lane, name: string) => A) => {
  const made = new Map<string, A>()
  return (lane: Lane, name: string): A => {
    const key = `${lane}/${name}`
    let one = made.get(key)
    if (one === undefined) made.set(key, (one = make(lane, name)))
    return one
  }
}

export const make = (policy: ResolvedPolicy, clock: Clock.Clock): WriterJournal => {
  const depth = lazily((lane) => PresenceMetrics.queueDepth(lane))
  const wait = lazily((lane) => PresenceMetrics.waitSeconds(lane))
  const hold = lazily((lane) => PresenceMetrics.holdSeconds(lane))
  const outcomes = lazily(PresenceMetrics.writes)
  const update = (
    metric: { readonly unsafeUpdate: (value: number, tags: ReadonlyArray<never>) => void },
    value: number
  ) => metric.unsafeUpdate(value, [])

  let holder: ReturnType<WriterJournal["holder"]>
  let lastCommitMillis: number | undefined
  let lastFailure: ReturnType<WriterJournal["lastFailure"]>

  for (const { capacity, lane } of policy.lanes) {
    update(PresenceMetrics.queueLimit(lane), capacity)
    update(depth(lane, ""), 0)
  }

  return {
    queued: (lane, waiterCount) => update(depth(lane, ""), waiterCount),
    waited: (lane, millis) => update(wait(lane, ""), millis / 1_000),
    holding: (lane) => {
      holder = { lane, sinceMillis: clock.unsafeCurrentTimeMillis() }
    },
    held: (lane, millis) => {
      holder = undefined
      update(hold(lane, ""), millis / 1_000)
    },
    committed: (lane) => {
      lastCommitMillis = clock.unsafeCurrentTimeMillis()
      lastFailure = undefined
      update(outcomes(lane, "committed"), 1)
    },
    failed: (error) => {
      if (isEngineTrouble(error)) lastFailure = { tag: error._tag, atMillis: clock.unsafeCurrentTimeMillis() }
      update(outcomes(error.lane, error._tag), 1)
    },
    holder: () => holder,
    lastCommitMillis: () => lastCommitMillis,
    lastFailure: () => lastFailure
  }
}
