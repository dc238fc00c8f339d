import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import type * as Scope from "effect/Scope"

/**
 * Many time limits, one fiber.
 *
 * `Effect.timeout` costs about 54 µs a call, more than a small write. Here a
 * limit costs one entry in a heap. One that was settled is emptied at once, and
 * dropped when its time comes.
 */
export interface Deadlines {
  /**
   * Calls `expire` in `millis` from now, unless the function that is returned is called before. That one lets go of all
   * that `expire` refers to. `expire` must not throw.
   */
  readonly add: (millis: number, expire: () => void) => () => void
  /** Monotonic milliseconds: intervals must not follow a wall clock that jumps. */
  readonly now: () => number
}

interface Entry {
  readonly due: number
  expire: (() => void) | undefined
}

/** Smallest `due` first. */
const push = (heap: Array<Entry>, entry: Entry): void => {
  let index = heap.push(entry) - 1
  while (index > 0) {
    const above = (index - 1) >> 1
    const parent = heap[above]
    if (parent === undefined || parent.due <= entry.due) break
    heap[index] = parent
    index = above
  }
  heap[index] = entry
}

const pop = (heap: Array<Entry>): void => {
  const last = heap.pop()
  if (last === undefined || heap.length === 0) return
  let index = 0
  while (true) {
    let below = 2 * index + 1
    const right = heap[below + 1]
    let child = heap[below]
    if (child === undefined) break
    if (right !== undefined && right.due < child.due) {
      child = right
      below++
    }
    if (child.due >= last.due) break
    heap[index] = child
    index = below
  }
  heap[index] = last
}

export const make = (clock: Clock.Clock): Effect.Effect<Deadlines, never, Scope.Scope> =>
  Effect.gen(function* () {
    const heap: Array<Entry> = []
    const now = () => Number(clock.unsafeCurrentTimeNanos()) / 1e6
    let earlier = Deferred.unsafeMake<void>(FiberId.none)
    let sleepsUntil = Infinity

    const turn = Effect.suspend(() => {
      let head = heap[0]
      while (head !== undefined && head.due <= now()) {
        pop(heap)
        head.expire?.()
        head = heap[0]
      }
      sleepsUntil = head?.due ?? Infinity
      earlier = Deferred.unsafeMake<void>(FiberId.none)
      const wake = Deferred.await(earlier)
      // Rounded up: a timer may fire a fraction of a millisecond before its time, and would turn once in vain.
      return head === undefined ? wake : Effect.raceFirst(Effect.sleep(Math.ceil(head.due - now())), wake)
    })
    yield* Effect.forkScoped(Effect.forever(turn))

    return {
      add: (millis, expire) => {
        const due = now() + millis
        const entry: Entry = { due, expire }
        push(heap, entry)
        if (due < sleepsUntil) {
          sleepsUntil = due
          Deferred.unsafeDone(earlier, Effect.void)
        }
        return () => {
          entry.expire = undefined
        }
      },
      now
    }
  })
