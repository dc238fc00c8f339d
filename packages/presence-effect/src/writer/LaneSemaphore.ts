/**
 * One permit, several lanes.
 *
 * The permit is that of an Effect `Semaphore` of width one: nothing runs in a
 * turn without it. A `Semaphore` is neither fair nor ordered, so it is never used
 * as a queue: at most one fiber waits for it. That fiber asks the lane queue only
 * when it has the permit, and then runs the turn of the waiter that is next. A
 * fiber that finds the permit free and nobody waiting takes it itself.
 *
 * @example
 * import * as Deferred from "effect/Deferred"
 * import * as Effect from "effect/Effect"
 * import * as Fiber from "effect/Fiber"
 * import { deepStrictEqual } from "node:assert/strict"
 * import * as Lane from "presence-effect/writer/Lane"
 * import * as LaneSemaphore from "presence-effect/writer/LaneSemaphore"
 *
 * const program = Effect.gen(function* () {
 *   const lanes = [Lane.control, Lane.presence].map((lane) => ({ lane, capacity: 8 }))
 *   const { withPermit } = yield* LaneSemaphore.make({ lanes, bypassLimit: 16 })
 *   const order: Array<string> = []
 *   const turn = (lane: Lane.Lane) => withPermit(lane)(Effect.sync(() => order.push(lane)))
 *   const done = yield* Deferred.make<void>()
 *   yield* Effect.fork(withPermit(Lane.presence)(Deferred.await(done)))
 *   yield* Effect.yieldNow()
 *   // Both wait for the permit. Whatever asked first, the lane `control` is served first.
 *   const waiting = yield* Effect.forkAll([turn(Lane.presence), turn(Lane.control)])
 *   yield* Effect.yieldNow()
 *   yield* Deferred.succeed(done, undefined)
 *   yield* Fiber.join(waiting)
 *   deepStrictEqual(order, ["control", "presence"])
 * })
 * await Effect.runPromise(program)
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as LaneQueue from "./internal/laneQueue.ts"
import type { Lane } from "./Lane.ts"
import { LaneOverflow, WriterClosed } from "./WriterError.ts"

/**
 * What waits for the permit.
 *
 * @category models
 * @since 0.1.0
 */
export interface Waiter {
  readonly lane: Lane
  /** May share the turn of another waiter of the lane, see `takeCompanions`. */
  readonly isCompanion: boolean
  /**
   * Run once, in the fiber that has the permit, uninterruptibly; the permit goes
   * back when it ends. Never run for a waiter that left, was taken or closed.
   *
   * @since 0.2.0
   */
  readonly turn: Effect.Effect<void>
  /** Called instead when the semaphore closes. */
  readonly closed: () => void
  /**
   * When it entered the lane, in ms of the clock of its owner.
   *
   * @since 0.3.0
   */
  readonly enteredAt?: number | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface LaneSemaphore {
  /**
   * Runs `self` while holding the permit. Waiting is interruptible; the permit
   * is always released. Sets no time limit: callers do.
   *
   * **Errors**: `LaneOverflow` at once when the lane is full, `WriterClosed`
   * after `close`. Any failure of `self`, unchanged. Dies when there is no such
   * lane, whether the permit is free or not.
   */
  readonly withPermit: (
    lane: Lane
  ) => <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | LaneOverflow | WriterClosed, R>
  /**
   * Waits for the permit, interruptibly, and then runs `use`, uninterruptibly.
   * `use` owns the permit and must see to it that `giveBack` is called, by itself
   * or by another fiber.
   */
  readonly whenGranted: (
    lane: Lane
  ) => <A, E, R>(
    use: (giveBack: Effect.Effect<void>) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | LaneOverflow | WriterClosed, R>
  /**
   * Queues a waiter. With the permit free its turn begins before this returns.
   * Plain function: returns the refusal instead of failing.
   */
  readonly enter: (waiter: Waiter) => LaneOverflow | WriterClosed | undefined
  /** Takes a waiter out of its queue. `false`: its turn has begun, or it was taken or closed before. */
  readonly leave: (waiter: Waiter) => boolean
  /** Takes waiters from the head of the lane to share the turn of its holder, at most `limit`. */
  readonly takeCompanions: (lane: Lane, limit: number) => ReadonlyArray<Waiter>
  readonly waiterCount: (lane: Lane) => number
  /**
   * The waiter of the lane that entered first.
   *
   * @since 0.3.0
   */
  readonly oldestWaiter: (lane: Lane) => Waiter | undefined
  readonly isHeld: () => boolean
  /** Succeeds once the permit is free: at the next such moment, or for good after `close`. */
  readonly awaitFree: Effect.Effect<void>
  /** Refuses new waiters from now on and ends the present ones with `WriterClosed`. The holder stays. */
  readonly close: Effect.Effect<void>
}

interface Policy {
  /** In serving order. */
  readonly lanes: ReadonlyArray<{ readonly lane: Lane; readonly capacity: number }>
  /** Grants that may pass over a waiting lane before it gets one turn. */
  readonly bypassLimit: number
  /** Called after each change of the number of waiters in a lane. It must not throw. */
  readonly onQueue?: (lane: Lane, waiterCount: number) => void
  /** The clock of `enteredAt`, in ms. Without it the waiters of `withPermit` and `whenGranted` have no time. */
  readonly now?: () => number
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (policy: Policy): Effect.Effect<LaneSemaphore> =>
  Effect.gen(function* () {
    const semaphore = yield* Effect.makeSemaphore(1)
    const runtime = yield* Effect.runtime<never>()
    const queue = LaneQueue.make<Waiter>(policy.lanes, policy.bypassLimit)
    const queueChanged = announcer(policy, queue.waiterCount)
    /** A fiber waits for the semaphore. */
    let isAsking = false
    /** What the semaphore decides, for observers. */
    let isHeld = false
    let isClosed = false
    const awaitingFree = new Set<() => void>()

    const wakeIfFree = (): void => {
      if (isHeld || isAsking) return
      for (const wake of awaitingFree) wake()
    }

    const ended = Effect.sync(() => {
      isHeld = false
      wakeIfFree()
    })

    /** With the permit: the next waiter is chosen now, not when the fiber arrived. */
    const nextTurn = Effect.suspend(() => {
      isAsking = false
      const next = queue.next()
      if (next === undefined) return Effect.sync(wakeIfFree)
      isHeld = true
      queueChanged(next.lane)
      if (queue.isWaiting()) ask()
      return Effect.ensuring(next.turn, ended)
    })

    // A permit that is free is taken in this very step, so that no waiter is counted for it.
    const standing = Effect.uninterruptible(
      Effect.flatMap(semaphore.withPermitsIfAvailable(1)(nextTurn), (turn) =>
        Option.isSome(turn) ? Effect.void : semaphore.withPermits(1)(nextTurn)
      )
    )

    const ask = (): void => {
      if (isAsking) return
      isAsking = true
      Runtime.runFork(runtime)(standing, { immediate: true })
    }

    const enter: LaneSemaphore["enter"] = (waiter) => {
      if (isClosed) return new WriterClosed({ lane: waiter.lane })
      const { lane } = waiter
      if (!queue.enter(lane, waiter)) {
        return new LaneOverflow({ lane, waiterCount: queue.waiterCount(lane), capacity: queue.capacity(lane) })
      }
      ask()
      queueChanged(lane)
      return undefined
    }

    const leave: LaneSemaphore["leave"] = (waiter) => {
      const hasWaited = queue.leave(waiter.lane, waiter)
      if (hasWaited) queueChanged(waiter.lane)
      return hasWaited
    }

    /** The permit that the calling fiber took itself, until it is given back for the first time. */
    const ownPermit = (): Effect.Effect<void> => {
      let isReturned = false
      return Effect.suspend(() => {
        if (isReturned) return Effect.void
        isReturned = true
        isHeld = false
        wakeIfFree()
        return semaphore.release(1)
      })
    }

    /**
     * The next step of the calling fiber takes the permit, if it is free, in the order of the lanes. Until then nobody
     * else asks for it. Otherwise nothing has happened.
     */
    const takeFree = (lane: Lane): boolean => {
      if (isClosed || isHeld || isAsking || queue.isWaiting()) return false
      const waiter: Waiter = { lane, isCompanion: false, turn: Effect.void, closed: () => undefined }
      if (!queue.enter(lane, waiter)) return false
      queue.next()
      isAsking = true
      isHeld = true
      return true
    }

    const taken = (): Effect.Effect<void> => {
      isAsking = false
      if (queue.isWaiting()) ask()
      return ownPermit()
    }

    /** Runs in an uninterruptible region; `restore` is what makes the wait as interruptible as its caller. */
    const onGrant = <A, E, R>(
      lane: Lane,
      use: (giveBack: Effect.Effect<void>) => Effect.Effect<A, E, R>,
      restore: <B, F>(self: Effect.Effect<B, F>) => Effect.Effect<B, F>
    ) =>
      Effect.suspend((): Effect.Effect<A, E | LaneOverflow | WriterClosed, R> => {
        if (takeFree(lane)) return Effect.flatMap(semaphore.take(1), () => use(taken()))
        const { giveBack, wait, waiter } = fiberWaiter(lane, policy.now?.())
        const refusal = enter(waiter)
        if (refusal !== undefined) return Effect.fail(refusal)
        return Effect.matchCauseEffect(restore(wait), {
          onFailure: (cause) =>
            Effect.suspend(() => {
              // Granted in the very step that ended the wait: the permit is ours without a body to run.
              if (!leave(waiter)) giveBack()
              return Effect.failCause(cause)
            }),
          onSuccess: () => use(Effect.sync(giveBack))
        })
      })

    return {
      withPermit: (lane) => (self) =>
        Effect.uninterruptibleMask((restore) =>
          onGrant(lane, (giveBack) => Effect.ensuring(restore(self), giveBack), restore)
        ),
      whenGranted: (lane) => (use) => Effect.uninterruptibleMask((restore) => onGrant(lane, use, restore)),
      enter,
      leave,
      takeCompanions: (lane, limit) => {
        const companions = queue.takeWhile(lane, limit, ({ isCompanion }) => isCompanion)
        queueChanged(lane)
        return companions
      },
      waiterCount: queue.waiterCount,
      oldestWaiter: queue.oldest,
      isHeld: () => isHeld,
      awaitFree: Effect.async((resume) => {
        if (!isHeld && !isAsking) return resume(Effect.void)
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

/** Calls `onQueue` for each lane whose number of waiters has changed since the last call. */
const announcer = ({ onQueue }: Policy, waiterCount: (lane: Lane) => number) => {
  const announced = new Map<Lane, number>()
  return (lane: Lane): void => {
    const count = waiterCount(lane)
    if (count === (announced.get(lane) ?? 0)) return
    announced.set(lane, count)
    onQueue?.(lane, count)
  }
}

/** A waiter that wakes the fiber it stands for, and whose turn lasts until that fiber releases the permit. */
const fiberWaiter = (lane: Lane, enteredAt: number | undefined) => {
  const granted = Deferred.unsafeMake<void, WriterClosed>(FiberId.none)
  const returned = Deferred.unsafeMake<void>(FiberId.none)
  const waiter: Waiter = {
    lane,
    isCompanion: false,
    enteredAt,
    turn: Effect.zipRight(Deferred.succeed(granted, undefined), Deferred.await(returned)),
    closed: () => Deferred.unsafeDone(granted, Effect.fail(new WriterClosed({ lane })))
  }
  return {
    waiter,
    wait: Deferred.await(granted),
    giveBack: (): void => Deferred.unsafeDone(returned, Effect.void)
  }
}
