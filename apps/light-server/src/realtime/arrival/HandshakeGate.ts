/**
 * How many handshakes are verified at once, so that thousands of reconnecting
 * clients are admitted one after the other, and requests are answered
 * meanwhile.
 */
import { Effect } from "effect"
import * as EventBudget from "../events/EventBudget.ts"
import { setHandshakes, setHandshakesWaiting } from "../RealtimeMetrics.ts"
import type { RealtimeOptions } from "../RealtimeOptions.ts"

export interface HandshakeGate {
  /** May one more transport be opened now? A transport that is opened has a handshake soon. */
  readonly isOpen: (nowMillis: number) => boolean
  /** Handshakes that are being verified or wait. */
  readonly count: () => number
  /** Runs `handshake` when it is its turn. `undefined`: too many wait already. */
  readonly enter: <R>(handshake: Effect.Effect<void, never, R>) => Effect.Effect<void, never, R> | undefined
}

export const make = (
  options: Pick<RealtimeOptions, "handshakeLimit" | "handshakeQueueLimit" | "handshakesPerSecond">,
  nowMillis: number
): HandshakeGate => {
  const capacity = options.handshakeLimit + options.handshakeQueueLimit
  // All handshakes of a burst are queued: a refused one would start its back-off again, and wait too short.
  const budget = EventBudget.make({ perSecond: options.handshakesPerSecond, burst: capacity }, nowMillis)
  const permits = Effect.unsafeMakeSemaphore(options.handshakeLimit)
  let inside = 0
  let running = 0
  const show = () => {
    setHandshakes(running)
    setHandshakesWaiting(inside - running)
  }
  const change = (insideChange: 1 | 0 | -1, runningChange: 1 | 0 | -1) =>
    Effect.sync(() => {
      inside += insideChange
      running += runningChange
      show()
    })
  return {
    count: () => inside,
    isOpen: (now) => inside < capacity && budget.take(now),
    enter: (handshake) => {
      if (inside >= capacity) return undefined
      // Counted at once, so that handshakes in the same turn of the event loop see it.
      inside += 1
      show()
      const turn = Effect.acquireUseRelease(
        change(0, 1),
        () => handshake,
        () => change(0, -1)
      )
      return Effect.ensuring(permits.withPermits(1)(turn), change(-1, 0))
    }
  }
}
