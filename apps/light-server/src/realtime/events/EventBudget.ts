/** How many events one socket may send: a bucket of tokens. */

export interface EventBudget {
  /** Takes a token; `false` when there is none. */
  readonly take: (nowMillis: number) => boolean
}

/**
 * A bucket that holds `burst` tokens, is full at `nowMillis`, and gets `perSecond`
 * tokens a second. A clock that steps back adds none.
 */
export const make = (terms: { readonly perSecond: number; readonly burst: number }, nowMillis: number): EventBudget => {
  let tokens = terms.burst
  let filledAt = nowMillis
  return {
    take: (now) => {
      tokens = Math.min(terms.burst, tokens + (Math.max(0, now - filledAt) * terms.perSecond) / 1000)
      filledAt = now
      if (tokens < 1) return false
      tokens -= 1
      return true
    }
  }
}
