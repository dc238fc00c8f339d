/** How many sockets there are, in total and per account. */
import * as EventBudget from "../events/EventBudget.ts"
import type { RealtimeOptions } from "../RealtimeOptions.ts"

/** The slot of one socket. */
export interface Slot {
  /** Shared by all sockets of the account. */
  readonly budget: EventBudget.EventBudget
  /** Releases the slot. A second call has no effect. */
  readonly leave: () => void
}

export interface ConnectionSlots {
  /** Takes a slot. `undefined`: the account has no more. */
  readonly take: (accountId: string, nowMillis: number) => Slot | undefined
  /** Slots taken, of all accounts. */
  readonly count: () => number
}

/**
 * Counts a socket from its admission on, before it is connected: sockets that
 * are verified at the same time cannot exceed a limit together. An account
 * without a socket is forgotten. `shareOf`: what is left of the limit of an account
 * when other replicas take sockets too.
 */
export const make = (
  options: Pick<RealtimeOptions, "accountSocketLimit" | "accountEventsPerSecond" | "accountEventBurst">,
  shareOf: (limit: number) => number = (limit) => limit
): ConnectionSlots => {
  const accounts = new Map<string, { taken: number; readonly budget: EventBudget.EventBudget }>()
  let count = 0
  return {
    count: () => count,
    take: (accountId, nowMillis) => {
      const known = accounts.get(accountId)
      if ((known?.taken ?? 0) >= shareOf(options.accountSocketLimit)) return undefined
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
