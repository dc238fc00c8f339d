/** Sorting that leaves the event loop free: runs of bounded length, merged while they are read. */
import * as Effect from "effect/Effect"

/** One run sorts in a few milliseconds. */
const runLength = 4_096

/** The items in order. They are copied and sorted run by run; the merge costs one comparison per run and item. */
export const sorted = <A>(items: ReadonlyArray<A>, isBefore: (a: A, b: A) => boolean): Effect.Effect<Iterable<A>> =>
  Effect.gen(function* () {
    const runs: Array<ReadonlyArray<A>> = []
    for (let from = 0; from < items.length; from += runLength) {
      runs.push(items.slice(from, from + runLength).toSorted((a, b) => (isBefore(a, b) ? -1 : 1)))
      if (items.length > runLength) yield* pause
    }
    return runs.length === 1 ? (runs[0] ?? []) : merged(runs, isBefore)
  })

/** Lets the event loop turn. Yielding alone does not: fibers that can run follow each other within one turn. */
export const pause: Effect.Effect<void> = Effect.sleep(0)

function* merged<A>(runs: ReadonlyArray<ReadonlyArray<A>>, isBefore: (a: A, b: A) => boolean): Generator<A, void> {
  const heads = runs.map(() => 0)
  for (;;) {
    let first: number | undefined = undefined
    let item: A | undefined = undefined
    for (const [index, run] of runs.entries()) {
      const candidate = run[heads[index] ?? 0]
      if (candidate === undefined || (item !== undefined && !isBefore(candidate, item))) continue
      first = index
      item = candidate
    }
    if (first === undefined || item === undefined) return
    heads[first] = (heads[first] ?? 0) + 1
    yield item
  }
}
