/**
 * How often an address may do something within a window, where no request of
 * Fastify is at hand. `RateLimit` counts the same way.
 */
import { LRUCache } from "lru-cache"
import * as ClientAddress from "./ClientAddress.ts"
import { TooManyRequests } from "../Failure.ts"

export interface AddressQuota {
  /** Counts one. Answers with the refusal when it is one too many. */
  readonly take: (address: string, nowMillis: number) => TooManyRequests | undefined
  /** Takes back what was counted within the current window. */
  readonly giveBack: (address: string, nowMillis: number) => void
}

interface Window {
  count: number
  readonly endsAtMillis: number
}

/**
 * `limit` per address and window, zero: no limit. At most `keyCapacity` addresses
 * are remembered; the least recent one is forgotten first.
 */
export const make = (terms: {
  readonly limit: number
  readonly windowMillis: number
  readonly keyCapacity: number
}): AddressQuota => {
  const windows = new LRUCache<string, Window>({ max: terms.keyCapacity })
  /** `undefined` when its time is over, or when the clock was set back to before it began. */
  const current = (key: string, nowMillis: number) => {
    const window = windows.get(key)
    if (window === undefined) return undefined
    return nowMillis < window.endsAtMillis && nowMillis >= window.endsAtMillis - terms.windowMillis ? window : undefined
  }
  return {
    take: (address, nowMillis) => {
      if (terms.limit === 0) return undefined
      const key = ClientAddress.keyOf(address)
      const window = current(key, nowMillis)
      if (window === undefined) {
        windows.set(key, { count: 1, endsAtMillis: nowMillis + terms.windowMillis })
        return undefined
      }
      if (window.count >= terms.limit) return new TooManyRequests({ retryAfterMillis: window.endsAtMillis - nowMillis })
      window.count += 1
      return undefined
    },
    giveBack: (address, nowMillis) => {
      const window = current(ClientAddress.keyOf(address), nowMillis)
      if (window !== undefined && window.count > 0) window.count -= 1
    }
  }
}
