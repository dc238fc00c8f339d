/** How many events one socket may send: a bucket of tokens. */

export interface EventBudget {
  /** Takes `count` tokens, 1 by default; `false` when there are fewer. */
  readonly take: (nowMillis: number, count?: number) => boolean
  /** Time until there are this many tokens again, at most a second: then `take` can be tried again. */
  readonly waitMillis: (count?: number) => number
}

/**
 * A bucket that holds `burst` tokens, is full at `nowMillis`, and gets `perSecond` tokens a second. A clock that steps
 * back adds none.
 */
export const make = (terms: { readonly perSecond: number; readonly burst: number }, nowMillis: number): EventBudget => {
  let tokens = terms.burst
  let filledAt = nowMillis
  return {
    take: (now, count = 1) => {
      tokens = Math.min(terms.burst, tokens + (Math.max(0, now - filledAt) * terms.perSecond) / 1000)
      filledAt = now
      if (tokens < count) return false
      tokens -= count
      return true
    },
    waitMillis: (count = 1) => Math.max(1, Math.min(1000, Math.ceil(((count - tokens) * 1000) / terms.perSecond)))
  }
}
