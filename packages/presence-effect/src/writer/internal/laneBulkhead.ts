import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import type { Lane } from "../Lane.ts"
import type { LaneSemaphore, Waiter } from "../LaneSemaphore.ts"
import { LaneOverflow, WriterClosed } from "../WriterError.ts"
import * as LaneQueue from "./laneQueue.ts"

/** What the writes of an engine wait for: one permit of SQLite, or one of several of a database server. */
export type Permits = Pick<
  LaneSemaphore,
  "enter" | "leave" | "takeCompanions" | "waiterCount" | "oldestWaiter" | "awaitFree" | "close"
>

interface Policy {
  /** In serving order. */
  readonly lanes: ReadonlyArray<{ readonly lane: Lane; readonly capacity: number }>
  readonly bypassLimit: number
  readonly permits: number
  readonly onQueue: (lane: Lane, waiterCount: number) => void
}

/** Which permits are held: all may be by the first lane, all but one by the others together. */
const makeHeld = (permits: number, first: Lane | undefined) => {
  const sharedMax = Math.max(1, permits - 1)
  let heldCount = 0
  /** Of these, held by other lanes than the first. */
  let sharedCount = 0
  const count = (lane: Lane, step: 1 | -1): void => {
    heldCount += step
    if (lane !== first) sharedCount += step
  }
  return {
    isFull: () => heldCount >= permits,
    isFree: () => heldCount === 0,
    isServed: (lane: Lane): boolean => lane === first || sharedCount < sharedMax,
    take: (lane: Lane): void => count(lane, 1),
    giveBack: (lane: Lane): void => count(lane, -1)
  }
}

/**
 * Several permits, several lanes. Serves in the order of one queue, like `LaneSemaphore`, but the lanes after the first
 * never hold the last permit: however slow their writes are, a write of the first lane finds one.
 *
 * With one permit, every lane may hold it.
 */
export const make = ({ bypassLimit, lanes, onQueue, permits }: Policy): Effect.Effect<Permits> =>
  Effect.map(Effect.runtime<never>(), (runtime) => {
    const queue = LaneQueue.make<Waiter>(lanes, bypassLimit)
    const held = makeHeld(permits, lanes[0]?.lane)
    const awaitingFree = new Set<() => void>()
    let isClosed = false

    const takeNext = (): Waiter | undefined => (held.isFull() ? undefined : queue.next(held.isServed))

    const serve = (): void => {
      for (let next = takeNext(); next !== undefined; next = takeNext()) {
        const { lane, turn } = next
        held.take(lane)
        onQueue(lane, queue.waiterCount(lane))
        const ended = Effect.sync(() => {
          held.giveBack(lane)
          serve()
        })
        Runtime.runFork(runtime)(Effect.uninterruptible(Effect.ensuring(turn, ended)), { immediate: true })
      }
      if (held.isFree()) for (const wake of awaitingFree) wake()
    }

    return {
      enter: (waiter) => {
        const { lane } = waiter
        if (isClosed) return new WriterClosed({ lane })
        if (!queue.enter(lane, waiter)) {
          return new LaneOverflow({ lane, waiterCount: queue.waiterCount(lane), capacity: queue.capacity(lane) })
        }
        serve()
        onQueue(lane, queue.waiterCount(lane))
        return undefined
      },
      leave: (waiter) => {
        const hasWaited = queue.leave(waiter.lane, waiter)
        if (hasWaited) onQueue(waiter.lane, queue.waiterCount(waiter.lane))
        return hasWaited
      },
      takeCompanions: (lane, limit) => {
        const companions = queue.takeWhile(lane, limit, ({ isCompanion }) => isCompanion)
        onQueue(lane, queue.waiterCount(lane))
        return companions
      },
      waiterCount: queue.waiterCount,
      oldestWaiter: queue.oldest,
      awaitFree: Effect.async((resume) => {
        if (held.isFree()) return resume(Effect.void)
        const wake = () => resume(Effect.void)
        awaitingFree.add(wake)
        return Effect.sync(() => awaitingFree.delete(wake))
      }),
      close: Effect.sync(() => {
        isClosed = true
        const waiters = queue.takeAll()
        for (const { lane } of lanes) onQueue(lane, 0)
        for (const waiter of waiters) waiter.closed()
      })
    }
  })
