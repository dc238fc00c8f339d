/**
 * Clients of disabled accounts. They reconnect until the account is enabled. Each attempt is held for a while before
 * its transport is closed, so that there are few of them.
 */
import { Effect } from "effect"

export interface DisabledAccounts {
  /** `undefined`: the transport is closed at once, because too many are held. */
  readonly hold: () => Effect.Effect<void> | undefined
}

/** Below the 10 s after which a transport without a handshake is closed. */
const holdTime = "8 seconds"

export const make = (heldMax: number): DisabledAccounts => {
  let heldCount = 0
  return {
    hold: () => {
      if (heldCount >= heldMax) return undefined
      heldCount += 1
      return Effect.ensuring(
        Effect.sleep(holdTime),
        Effect.sync(() => void (heldCount -= 1))
      )
    }
  }
}
