import type { Lane } from "../Lane.ts"

/** One lane of the queue, in serving order. */
interface Queue<W> {
  readonly lane: Lane
  readonly capacity: number
  /** Insertion order is arrival order, and leaving is O(1). */
  readonly waiters: Set<W>
  /** Grants that passed over this lane while a write waited in it. */
  bypassed: number
}

/**
 * Chooses the next waiter. Plain state: every method runs to its end before
 * another one starts, so there is no window between a decision and its effect.
 */
export interface LaneQueue<W> {
  /** `false`: the lane is full. */
  readonly enter: (lane: Lane, waiter: W) => boolean
  /** `false`: the waiter does not wait (any more). */
  readonly leave: (lane: Lane, waiter: W) => boolean
  /** Lanes that `isServed` excludes are left out, as if nothing waited in them. */
  readonly next: (isServed?: (lane: Lane) => boolean) => W | undefined
  /** Takes from the head of `lane` while `accept` returns true, at most `limit`. */
  readonly takeWhile: (lane: Lane, limit: number, accept: (waiter: W) => boolean) => ReadonlyArray<W>
  readonly takeAll: () => ReadonlyArray<W>
  /** Whether any lane has a waiter. */
  readonly isWaiting: () => boolean
  readonly waiterCount: (lane: Lane) => number
  /** The waiter that entered the lane first. */
  readonly oldest: (lane: Lane) => W | undefined
  readonly capacity: (lane: Lane) => number
}

const first = <W>(waiters: Set<W>): W | undefined => waiters.values().next().value

const always = (): boolean => true

/**
 * Strict order between lanes, first come first served within one. A lane that
 * `bypassLimit` grants passed over is overdue and gets one turn; the most overdue
 * first, the lower lane among equals. Never two overdue turns in a row, so the
 * highest waiting lane gets at least every second grant.
 */
export const make = <W>(
  lanes: ReadonlyArray<{ readonly lane: Lane; readonly capacity: number }>,
  bypassLimit: number
): LaneQueue<W> => {
  const queues: ReadonlyArray<Queue<W>> = lanes.map(({ lane, capacity }) => ({
    lane,
    capacity,
    waiters: new Set(),
    bypassed: 0
  }))
  const byLane = new Map(queues.map((queue) => [queue.lane, queue]))
  let wasOverdueTurn = false

  const queueOf = (lane: Lane): Queue<W> => {
    const queue = byLane.get(lane)
    if (queue === undefined) {
      throw new RangeError(`the policy has no lane ${lane}, only ${queues.map((known) => known.lane).join(", ")}`)
    }
    return queue
  }

  const drop = (queue: Queue<W>, waiter: W): boolean => {
    const isWaiting = queue.waiters.delete(waiter)
    if (queue.waiters.size === 0) queue.bypassed = 0
    return isWaiting
  }

  const overdue = (isServed: (lane: Lane) => boolean): Queue<W> | undefined => {
    let found: Queue<W> | undefined
    for (const queue of queues) {
      if (!isServed(queue.lane)) continue
      if (queue.bypassed >= bypassLimit && (found === undefined || queue.bypassed >= found.bypassed)) found = queue
    }
    return found
  }

  return {
    enter: (lane, waiter) => {
      const queue = queueOf(lane)
      if (queue.waiters.size >= queue.capacity) return false
      queue.waiters.add(waiter)
      return true
    },
    leave: (lane, waiter) => drop(queueOf(lane), waiter),
    next: (isServed = always) => {
      const late = wasOverdueTurn ? undefined : overdue(isServed)
      const turn = late ?? queues.find(({ lane, waiters }) => waiters.size > 0 && isServed(lane))
      if (turn === undefined) return undefined
      wasOverdueTurn = late !== undefined
      for (const lower of queues.slice(queues.indexOf(turn) + 1)) {
        if (lower.waiters.size > 0 && isServed(lower.lane)) lower.bypassed++
      }
      turn.bypassed = 0
      const waiter = first(turn.waiters)
      if (waiter !== undefined) drop(turn, waiter)
      return waiter
    },
    takeWhile: (lane, limit, accept) => {
      const queue = queueOf(lane)
      const taken: Array<W> = []
      for (const waiter of queue.waiters) {
        if (taken.length >= limit || !accept(waiter)) break
        drop(queue, waiter)
        taken.push(waiter)
      }
      return taken
    },
    takeAll: () =>
      queues.flatMap((queue) => {
        const waiters = [...queue.waiters]
        queue.waiters.clear()
        queue.bypassed = 0
        return waiters
      }),
    isWaiting: () => queues.some(({ waiters }) => waiters.size > 0),
    waiterCount: (lane) => queueOf(lane).waiters.size,
    oldest: (lane) => first(queueOf(lane).waiters),
    capacity: (lane) => queueOf(lane).capacity
  }
}
