/**
 * Which repeated heartbeats are sent on. Agents and daemons send them every
 * moment, and apps need one about once a second.
 */
import * as LruCache from "../../LruCache.ts"
import * as EventBudget from "../events/EventBudget.ts"
import { countRepeated } from "../RealtimeMetrics.ts"
import type { RealtimeOptions } from "../RealtimeOptions.ts"

/** The other content of a heartbeat. */
export interface Sign {
  /** The account and the row. */
  readonly name: string
  readonly thinking: boolean
}

export interface SignsOfLife {
  /**
   * Whether `sign` is sent to `recipientCount` sockets of the account: at once
   * when its content is new, else once per interval, and never beyond the
   * packets of the account.
   */
  readonly take: (accountName: string, sign: Sign, recipientCount: number, nowMillis: number) => boolean
  /** The row was announced as online at this time. */
  readonly online: (sign: Sign, nowMillis: number) => void
  /** The row was announced as offline: its next heartbeat is new. */
  readonly offline: (name: string) => void
}

/** Rows and accounts that are remembered. The heartbeat of a forgotten one is sent. */
const rowsMax = 20_000
const accountsMax = 10_000

const intervalMillis = 1000

export const make = (options: Pick<RealtimeOptions, "repeatedPacketsPerSecond">): SignsOfLife => {
  const sent = LruCache.make<{ readonly at: number; readonly thinking: boolean }>(rowsMax)
  const budgets = LruCache.make<EventBudget.EventBudget>(accountsMax)
  const terms = { perSecond: options.repeatedPacketsPerSecond, burst: options.repeatedPacketsPerSecond }

  const budgetOf = (accountName: string, nowMillis: number) => {
    const budget = budgets.get(accountName) ?? EventBudget.make(terms, nowMillis)
    budgets.set(accountName, budget)
    return budget
  }

  return {
    take: (accountName, { name, thinking }, recipientCount, nowMillis) => {
      const last = sent.get(name)
      const isNew = last === undefined || last.thinking !== thinking
      if (!isNew && nowMillis - last.at < intervalMillis && nowMillis >= last.at) {
        countRepeated("coalesced")
        return false
      }
      // Not recorded as sent: the next one tries again.
      if (!budgetOf(accountName, nowMillis).take(nowMillis, recipientCount)) {
        countRepeated("over-budget")
        return false
      }
      sent.set(name, { at: nowMillis, thinking })
      countRepeated("sent")
      return true
    },
    online: ({ name, thinking }, nowMillis) => void sent.set(name, { at: nowMillis, thinking }),
    offline: (name) => void sent.delete(name)
  }
}
