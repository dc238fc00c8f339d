/** How many sockets there are, in all and of each account. */
import * as EventBudget from "../events/EventBudget.ts"
import type { RealtimeOptions } from "../RealtimeOptions.ts"

/** The place of one socket. */
export interface Slot {
  /** Shared by all sockets of the account. */
  readonly budget: EventBudget.EventBudget
  /** Gives the place back. A second call has no effect. */
  readonly leave: () => void
}

export interface ConnectionSlots {
  /** Takes a place. `undefined`: the account has no more. */
  readonly take: (accountId: string, nowMillis: number) => Slot | undefined
  /** Places taken, of all accounts. */
  readonly count: () => number
}

/**
 * Counts a socket from the moment it is let in, before it is connected: sockets
 * that are verified side by side cannot slip past a limit together. An account
 * without a socket is forgotten.
 */
export const make = (
  options: Pick<RealtimeOptions, "accountSocketLimit" | "accountEventsPerSecond" | "accountEventBurst">
): ConnectionSlots => {
  const accounts = new Map<string, { taken: number; readonly budget: EventBudget.EventBudget }>()
  let count = 0
  return {
    count: () => count,
    take: (accountId, nowMillis) => {
      const known = accounts.get(accountId)
      if ((known?.taken ?? 0) >= options.accountSocketLimit) return undefined
      const account = known ?? {
        taken: 0,
        budget: EventBudget.make(
          { perSecond: options.accountEventsPerSecond, burst: options.accountEventBurst },
          nowMillis
        )
      }
      if (known === undefined) accounts.set(accountId, account)
      account.taken += 1
      count += 1
      let isTaken = true
      return {
        budget: account.budget,
        leave: () => {
          if (!isTaken) return
          isTaken = false
          count -= 1
          account.taken -= 1
          if (account.taken === 0) accounts.delete(accountId)
        }
      }
    }
  }
}
