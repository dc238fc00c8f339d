/**
 * How much one key may cost within a window: the one limiter of the server, in
 * memory. A key is an address, a network or an account; the caller decides what
 * a point stands for.
 */
import { RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible"
import { TooManyRequests } from "../Failure.ts"
import * as LruCache from "../LruCache.ts"

/** The outcome of an attempt to take points. */
export interface Taken {
  readonly refusal: TooManyRequests | undefined
  /** The key had points left before, so this is its first refusal within the window. */
  readonly isFirstRefusal: boolean
}

export interface CostLimiter {
  /** Takes points, 1 by default. Refused when the key has fewer points left. */
  readonly take: (key: string, points?: number) => Promise<Taken>
  /** Takes points for work that was done already. The balance of the key may become negative. */
  readonly charge: (key: string, points: number) => Promise<void>
  /** Gives back one point that was taken within the current window. */
  readonly giveBack: (key: string) => Promise<void>
}

const passed: Taken = { refusal: undefined, isFirstRefusal: false }

const unlimited: CostLimiter = {
  take: () => Promise.resolve(passed),
  charge: () => Promise.resolve(),
  giveBack: () => Promise.resolve()
}

/**
 * `points` per key and window; zero: no limit. At most `keyCapacity` keys are
 * remembered; the least recent one is forgotten first.
 */
export const make = (terms: {
  readonly points: number
  readonly windowMillis: number
  readonly keyCapacity: number
  /** The part of the points that counts now, when other replicas count as well. */
  readonly shareOf?: (points: number) => number
}): CostLimiter => {
  if (terms.points === 0) return unlimited
  const limiter = new RateLimiterMemory({
    points: terms.points,
    duration: terms.windowMillis / 1000,
    keyPrefix: ""
  })
  // The library remembers every key until its window ends.
  const keys = LruCache.make<true>(terms.keyCapacity, {
    dispose: (_, key, reason) => {
      if (reason === "evict") void limiter.delete(key)
    }
  })
  return {
    take: async (key, points = 1) => {
      keys.set(key, true)
      if (terms.shareOf !== undefined) limiter.points = terms.shareOf(terms.points)
      try {
        await limiter.consume(key, points)
        return passed
      } catch (refused) {
        if (!(refused instanceof RateLimiterRes)) throw refused
        return {
          refusal: new TooManyRequests({ retryAfterMillis: Math.max(1, refused.msBeforeNext) }),
          isFirstRefusal: refused.consumedPoints - points <= limiter.points
        }
      }
    },
    charge: async (key, points) => {
      keys.set(key, true)
      await limiter.penalty(key, points)
    },
    giveBack: async (key) => {
      const current = await limiter.get(key)
      if (current !== null && current.msBeforeNext > 0 && current.consumedPoints > 0) await limiter.reward(key)
    }
  }
}
