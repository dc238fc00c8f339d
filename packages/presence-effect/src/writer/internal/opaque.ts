import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import { withinFinalizer } from "../../internal/withinFinalizer.ts"
import type { Lane } from "../Lane.ts"
import type { LaneSemaphore } from "../LaneSemaphore.ts"
import { type LaneOverflow, NestedPermit, PermitTimeout, type WriterClosed, WriteUnconfirmed } from "../WriterError.ts"
import type { ResolvedLane } from "../WriterPolicy.ts"
import type { Deadlines } from "./deadlines.ts"
import type { WriterJournal } from "./writerJournal.ts"

/** Why an opaque effect did not run, or why its caller does not know how it ended. */
export type OpaqueFailure = LaneOverflow | NestedPermit | PermitTimeout | WriteUnconfirmed | WriterClosed

export interface Opaque {
  /**
   * One try of `self` under the permit, in a fiber of its own. A caller that is interrupted interrupts it and waits for
   * its end; a caller that has waited for `holdLimit` since the grant leaves, and `self` keeps the permit.
   */
  readonly hold: <A, E, R>(
    lane: ResolvedLane,
    self: Effect.Effect<A, E, R>,
    acquireMillis: number
  ) => Effect.Effect<A, E | OpaqueFailure, R>
  /** Fails in the body of an effect that holds the permit: what it asks for would wait for its own end. */
  readonly demandOutside: (lane: Lane) => Effect.Effect<void, NestedPermit>
  /** Interrupts what still runs, and waits a moment for what it cleans up. */
  readonly close: Effect.Effect<void>
}

/** How long an interrupted body may take to clean up when the writer ends; one that cannot be interrupted is left. */
const cleanupLimit = "1 second"

interface Hold {
  readonly lane: Lane
  isHeld: boolean
}

interface Parts {
  readonly lanes: LaneSemaphore
  readonly deadlines: Deadlines
  readonly journal: WriterJournal
}

/** Begins `self` with the permit, which it gives back at its end. */
const startIn =
  (bodies: Scope.Scope, around: FiberRef.FiberRef<Hold | undefined>, { deadlines, journal }: Parts) =>
  <A, E, R>(lane: Lane, self: Effect.Effect<A, E, R>, giveBack: Effect.Effect<void>) =>
    Effect.suspend(() => {
      const grantedAt = deadlines.now()
      const hold: Hold = { lane, isHeld: true }
      journal.holding(lane)
      const held = Effect.sync(() => {
        hold.isHeld = false
        journal.held(lane, deadlines.now() - grantedAt)
      })
      const body = Effect.interruptible(Effect.locally(self, around, hold))
      return Effect.forkIn(Effect.ensuring(body, Effect.zipRight(held, giveBack)), bodies)
    })

export const make = (parts: Parts): Effect.Effect<Opaque> =>
  Effect.gen(function* () {
    const { deadlines, journal, lanes } = parts
    const runtime = yield* Effect.runtime<never>()
    const bodies = yield* Scope.make()
    /** The hold that the fiber, or one that it was forked by, runs in. */
    const around = FiberRef.unsafeMake<Hold | undefined>(undefined)
    const start = startIn(bodies, around, parts)
    let isClosing = false

    const hold: Opaque["hold"] = <A, E, R>(
      { holdLimitMillis, lane }: ResolvedLane,
      self: Effect.Effect<A, E, R>,
      acquireMillis: number
    ) =>
      Effect.uninterruptibleMask((restore) => {
        const startedAt = deadlines.now()
        let granted: { readonly body: Fiber.RuntimeFiber<A, E>; readonly at: number } | undefined
        const heldMillis = (at: number) => deadlines.now() - at
        const unconfirmed = (reason: WriteUnconfirmed["reason"], at: number) =>
          Effect.fail(new WriteUnconfirmed({ lane, reason, heldMillis: heldMillis(at) }))

        const grant = lanes.whenGranted(lane)((giveBack) =>
          Effect.map(start(lane, self, giveBack), (body) => {
            granted = { body, at: deadlines.now() }
            journal.waited(lane, granted.at - startedAt)
          })
        )
        const outcome = Effect.gen(function* () {
          yield* restore(Effect.timeoutOption(grant, acquireMillis))
          // Asked of the body, not of the race: a grant in the instant of the timeout has begun.
          if (granted === undefined) {
            return yield* new PermitTimeout({ lane, waitedMillis: deadlines.now() - startedAt })
          }
          const { at, body } = granted
          const exit = yield* restore(Effect.timeoutOption(Fiber.await(body), holdLimitMillis))
          if (Option.isNone(exit)) return yield* unconfirmed("hold-limit", at)
          // Interrupted by the end of the writer, not by itself.
          if (isClosing && Exit.isFailure(exit.value) && Cause.isInterruptedOnly(exit.value.cause)) {
            return yield* unconfirmed("closed", at)
          }
          return yield* exit.value
        })
        const leave = Effect.suspend(() => {
          if (granted === undefined) return Effect.void
          const leftMillis = Math.max(0, holdLimitMillis - heldMillis(granted.at))
          return withinFinalizer(leftMillis)(Fiber.interrupt(granted.body))
        })
        return Effect.onInterrupt(outcome, () => leave)
      })

    return {
      hold,
      demandOutside: (lane) =>
        Effect.flatMap(FiberRef.get(around), (holder) =>
          holder?.isHeld === true ? Effect.fail(new NestedPermit({ lane, holder: holder.lane })) : Effect.void
        ),
      close: Effect.suspend(() => {
        isClosing = true
        const closing = Runtime.runFork(runtime)(Scope.close(bodies, Exit.void))
        return Effect.asVoid(withinFinalizer(cleanupLimit)(Fiber.await(closing)))
      })
    }
  })
