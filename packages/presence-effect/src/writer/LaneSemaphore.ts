/**
 * One permit, several lanes, direct hand-over.
 *
 * A real Effect `Semaphore` of width one guards the body. It is never a queue:
 * it is neither fair nor ordered, and each release wakes every waiter. A lane
 * queue in plain state decides who is next, and whoever gives the permit back
 * passes it on in the same step, so at most one fiber ever stands at the
 * semaphore and the permit is never free while somebody waits.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as LaneQueue from "./internal/laneQueue.ts"
import type { Lane } from "./Lane.ts"
import { LaneOverflow, WriterClosed } from "./WriterError.ts"

/**
 * Somebody who waits for the permit without a fiber of their own.
 *
 * @category models
 * @since 0.1.0
 */
export interface Waiter {
  readonly lane: Lane
  /** May share the turn of another waiter of the lane, see `takeCompanions`. */
  readonly isCompanion: boolean
  /**
   * Called once, inside the step that passes the permit on. From here on the
   * waiter owns the permit and must run `hold`. It must not throw.
   */
  readonly granted: () => void
  /** Called instead of `granted` when the semaphore closes. */
  readonly closed: () => void
}

/**
 * @category models
 * @since 0.1.0
 */
export interface LaneSemaphore {
  /**
   * Runs `self` while holding the permit. Waiting is interruptible; giving back
   * is certain. Sets no time limit: callers do.
   *
   * **Errors**: `LaneOverflow` at once when the lane is full, `WriterClosed`
   * after `close`. Any failure of `self`, unchanged.
   */
  readonly withPermit: (
    lane: Lane
  ) => <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | LaneOverflow | WriterClosed, R>
  /**
   * Waits for the permit, interruptibly, and then runs `use`, uninterruptibly.
   * `use` owns the permit and must run `hold`, itself or in another fiber.
   */
  readonly whenGranted: (
    lane: Lane
  ) => <A, E, R>(use: Effect.Effect<A, E, R>) => Effect.Effect<A, E | LaneOverflow | WriterClosed, R>
  /**
   * Queues a waiter, or grants at once when the permit is free. Plain function:
   * returns the refusal instead of failing.
   */
  readonly enter: (waiter: Waiter) => LaneOverflow | WriterClosed | undefined
  /** Takes a waiter out of its queue. `false`: it was granted, taken or closed before. */
  readonly leave: (waiter: Waiter) => boolean
  /** Takes waiters from the head of the lane to share the turn of its holder, at most `limit`. */
  readonly takeCompanions: (lane: Lane, limit: number) => ReadonlyArray<Waiter>
  /** Runs `self` under the guard and passes the permit on. Only for whoever was granted. */
  readonly hold: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  readonly waiterCount: (lane: Lane) => number
  readonly isHeld: () => boolean
  /** Succeeds once nobody holds the permit: at the next such moment, or for good after `close`. */
  readonly awaitFree: Effect.Effect<void>
  /** Refuses newcomers from now on and sends the waiters away. The holder stays. */
  readonly close: Effect.Effect<void>
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (policy: {
  /** In serving order. */
  readonly lanes: ReadonlyArray<{ readonly lane: Lane; readonly capacity: number }>
  /** Grants that may pass over a waiting lane before it gets one turn. */
  readonly bypassLimit: number
  /** Told of each change of the number of waiters in a lane. It must not throw. */
  readonly onQueue?: (lane: Lane, waiterCount: number) => void
}): Effect.Effect<LaneSemaphore> =>
  Effect.map(Effect.makeSemaphore(1), (semaphore): LaneSemaphore => {
    const queue = LaneQueue.make<Waiter>(policy.lanes, policy.bypassLimit)
    let isHeld = false
    let isClosed = false
    const awaitingFree = new Set<() => void>()

    const queueChanged = (lane: Lane): void => policy.onQueue?.(lane, queue.waiterCount(lane))

    const handOver = (): void => {
      const next = queue.next()
      if (next !== undefined) {
        queueChanged(next.lane)
        return next.granted()
      }
      isHeld = false
      for (const wake of awaitingFree) wake()
    }

    const enter: LaneSemaphore["enter"] = (waiter) => {
      if (isClosed) return new WriterClosed({ lane: waiter.lane })
      if (!isHeld) {
        isHeld = true
        waiter.granted()
        return undefined
      }
      if (queue.enter(waiter.lane, waiter)) {
        queueChanged(waiter.lane)
        return undefined
      }
      return new LaneOverflow({
        lane: waiter.lane,
        waiterCount: queue.waiterCount(waiter.lane),
        capacity: queue.capacity(waiter.lane)
      })
    }

    const leave: LaneSemaphore["leave"] = (waiter) => {
      const hasWaited = queue.leave(waiter.lane, waiter)
      if (hasWaited) queueChanged(waiter.lane)
      return hasWaited
    }

    // Nobody else stands here, so a permit is always available, and taking it has no step in which an interruption of
    // 3.22 would lose it, as a take that may wait has.
    const guarded = semaphore.withPermitsIfAvailable(1)
    const hold: LaneSemaphore["hold"] = (self) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.ensuring(Effect.flatMap(guarded(restore(self)), demandPermit), Effect.sync(handOver))
      )

    /** Runs in an uninterruptible region; `restore` is what makes the wait as interruptible as its caller. */
    const onGrant = <A, E, R>(
      lane: Lane,
      use: Effect.Effect<A, E, R>,
      restore: <B, F>(self: Effect.Effect<B, F>) => Effect.Effect<B, F>
    ) =>
      Effect.suspend((): Effect.Effect<A, E | LaneOverflow | WriterClosed, R> => {
        if (!isHeld && !isClosed) {
          isHeld = true
          return use
        }
        const fiber = fiberWaiter(lane)
        const refusal = enter(fiber.waiter)
        if (refusal !== undefined) return Effect.fail(refusal)
        return Effect.matchCauseEffect(restore(fiber.wait), {
          onFailure: (cause) =>
            Effect.suspend(() => {
              // Granted in the very turn that ended the wait: the permit is ours without a body to run.
              if (!leave(fiber.waiter) && fiber.isGranted()) handOver()
              return Effect.failCause(cause)
            }),
          onSuccess: () => use
        })
      })

    return {
      withPermit: (lane) => (self) =>
        Effect.uninterruptibleMask((restore) => onGrant(lane, hold(restore(self)), restore)),
      whenGranted: (lane) => (use) => Effect.uninterruptibleMask((restore) => onGrant(lane, use, restore)),
      enter,
      leave,
      takeCompanions: (lane, limit) => {
        const companions = queue.takeWhile(lane, limit, ({ isCompanion }) => isCompanion)
        if (companions.length > 0) queueChanged(lane)
        return companions
      },
      hold,
      waiterCount: queue.waiterCount,
      isHeld: () => isHeld,
      awaitFree: Effect.async((resume) => {
        if (!isHeld) return resume(Effect.void)
        const wake = () => resume(Effect.void)
        awaitingFree.add(wake)
        return Effect.sync(() => awaitingFree.delete(wake))
      }),
      close: Effect.sync(() => {
        isClosed = true
        const waiters = queue.takeAll()
        for (const { lane } of policy.lanes) queueChanged(lane)
        for (const waiter of waiters) waiter.closed()
      })
    }
  })

const demandPermit = <A>(guarded: Option.Option<A>): Effect.Effect<A> =>
  Option.isSome(guarded)
    ? Effect.succeed(guarded.value)
    : Effect.dieMessage("somebody else stood at the semaphore of the lanes")

/** A waiter that wakes the fiber it stands for. */
const fiberWaiter = (lane: Lane) => {
  let outcome: Effect.Effect<void, WriterClosed> | undefined
  let resume: ((effect: Effect.Effect<void, WriterClosed>) => void) | undefined
  const settle = (effect: Effect.Effect<void, WriterClosed>) => {
    outcome = effect
    resume?.(effect)
  }
  const waiter: Waiter = {
    lane,
    isCompanion: false,
    granted: () => settle(Effect.void),
    closed: () => settle(Effect.fail(new WriterClosed({ lane })))
  }
  return {
    waiter,
    isGranted: () => outcome === Effect.void,
    wait: Effect.async<void, WriterClosed>((wake) => {
      if (outcome === undefined) resume = wake
      else wake(outcome)
    })
  }
}
