/**
 * Limits per address, checked before a token is verified.
 *
 * A bad token costs a signature check and a read. So each unknown token is
 * charged to its address before it is verified, and the charge is returned when
 * the token was good; an address that has nothing left is refused without
 * verification. Tokens that were good recently are verified all the same:
 * clients that share an address with an attacker are not affected.
 */
import { Effect } from "effect"
import * as LruCache from "../LruCache.ts"
import type { ReadFailed } from "../database/DatabaseReader.ts"
import type { Authenticator } from "./Authenticator.ts"
import * as ClientAddress from "./ClientAddress.ts"
import type { AccountDisabled, TooManyRequests, Unauthorized } from "../Failure.ts"
import type { RateLimiter } from "./RateLimit.ts"
import { digestOf } from "./TokenDigest.ts"

export interface FailureLimiter {
  /** The account of a token, unless the address has sent too many bad ones. */
  readonly verify: (
    address: string,
    token: string,
    client?: string
  ) => Effect.Effect<string, Unauthorized | AccountDisabled | TooManyRequests | ReadFailed>
  /** Counts the opening of a socket. */
  readonly admitSocket: (address: string) => Effect.Effect<void, TooManyRequests>
}

export const make = (
  authenticator: Authenticator["Type"],
  limiter: RateLimiter,
  keyCapacity: number
): FailureLimiter => {
  const goodLately = LruCache.make<true>(keyCapacity)

  /** Charged first, and returned unless the token was bad: sending many at once gains nothing. */
  const verifyUnknown = (address: string, verify: ReturnType<Authenticator["Type"]["verify"]>, digest?: string) =>
    // A request that is cancelled between the charge and the verification must not lose the charge.
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const key = ClientAddress.keyOf(address)
        yield* limiter.take("tokens", key)
        const giveBack = limiter.giveBack("tokens", key)
        const accountId = yield* restore(verify).pipe(
          Effect.tapErrorTag("ReadFailed", () => giveBack),
          // The token is good.
          Effect.tapErrorTag("AccountDisabled", () => giveBack),
          Effect.onInterrupt(() => giveBack)
        )
        if (digest !== undefined) goodLately.set(digest, true)
        yield* giveBack
        return accountId
      })
    )

  return {
    verify: (address, token, client) =>
      Effect.suspend(() => {
        const digest = digestOf(token)
        const verify = authenticator.verify(token, client)
        if (digest === undefined || !goodLately.has(digest)) return verifyUnknown(address, verify, digest)
        return Effect.tapErrorTag(verify, "Unauthorized", () => Effect.sync(() => goodLately.delete(digest)))
      }),
    admitSocket: (address) => limiter.take("sockets", ClientAddress.keyOf(address))
  }
}
