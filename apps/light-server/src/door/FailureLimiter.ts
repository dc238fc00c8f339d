/**
 * Who may knock: what an address may try before anybody looks at what it brings.
 *
 * A token that is bad costs a signature and a read. So each one is charged to its
 * address before it is verified, and given back when it was good; an address
 * that has nothing left is refused without a look. Tokens that were good lately
 * are let through to the verification all the same: whoever shares an address
 * with somebody who guesses does not pay for it.
 */
import { Clock, Effect } from "effect"
import { LRUCache } from "lru-cache"
import type { ReadFailed } from "../database/DatabaseReader.ts"
import * as AddressQuota from "./AddressQuota.ts"
import type { Authenticator } from "./Authenticator.ts"
import type { TooManyRequests, Unauthorized } from "../Failure.ts"
import { limitedTotal, type RateLimits } from "./RateLimit.ts"
import { digestOf } from "./TokenDigest.ts"

export interface FailureLimiter {
  /** The account of a token, unless the address has shown too many bad ones. */
  readonly verify: (
    address: string,
    token: string
  ) => Effect.Effect<string, Unauthorized | TooManyRequests | ReadFailed>
  /** Counts the opening of a socket. Answers with the refusal when it is one too many. */
  readonly admitSocket: (address: string, nowMillis: number) => TooManyRequests | undefined
}

export const make = (authenticator: Authenticator["Type"], limits: RateLimits): FailureLimiter => {
  const { keyCapacity, windowMillis } = limits
  const badTokens = AddressQuota.make({ limit: limits.badTokens, windowMillis, keyCapacity })
  const sockets = AddressQuota.make({ limit: limits.sockets, windowMillis, keyCapacity })
  const goodLately = new LRUCache<string, true>({ max: keyCapacity })

  /** Charged before, and given back unless the token was bad: nobody gains by trying many at once. */
  const verifyStranger = (address: string, token: string, key: string | undefined) =>
    Effect.gen(function* () {
      const refusal = badTokens.take(address, yield* Clock.currentTimeMillis)
      if (refusal !== undefined) {
        limitedTotal.tokens.unsafeUpdate(1, [])
        return yield* refusal
      }
      const giveBack = Effect.map(Clock.currentTimeMillis, (now) => badTokens.giveBack(address, now))
      const accountId = yield* authenticator.verify(token).pipe(
        Effect.tapErrorTag("ReadFailed", () => giveBack),
        Effect.onInterrupt(() => giveBack)
      )
      if (key !== undefined) goodLately.set(key, true)
      yield* giveBack
      return accountId
    })

  return {
    verify: (address, token) =>
      Effect.suspend(() => {
        const key = digestOf(token)
        if (key === undefined || !goodLately.has(key)) return verifyStranger(address, token, key)
        return Effect.tapErrorTag(authenticator.verify(token), "Unauthorized", () =>
          Effect.sync(() => goodLately.delete(key))
        )
      }),
    admitSocket: (address, nowMillis) => {
      const refusal = sockets.take(address, nowMillis)
      if (refusal !== undefined) limitedTotal.sockets.unsafeUpdate(1, [])
      return refusal
    }
  }
}
