/**
 * Machines and sessions whose last registrant has just disconnected, and the
 * calls that wait for it to come back.
 */
import * as LruCache from "../LruCache.ts"

export interface AwayRows {
  /** The last registrant of the row has disconnected. */
  readonly leave: (accountId: string, rowId: string, nowMillis: number) => void
  /** How much longer a call to the method waits. 0: its row is not away. */
  readonly remainingMillis: (accountId: string, method: string, nowMillis: number) => number
  /** Calls `onRegister` once, when the method is registered. Returns a function that ends the wait. */
  readonly wait: (accountId: string, method: string, onRegister: () => void) => () => void
  /** The method was registered: the calls that wait for it continue. */
  readonly wake: (accountId: string, method: string) => void
}

/** Rows that are remembered. A call to a forgotten one is refused at once. */
const rowsMax = 10_000

/** The id of the row that a method belongs to: `<machineId>:<name>` or `<sessionId>:<name>`. */
const rowOf = (method: string) => method.slice(0, method.indexOf(":"))

const nameOf = (accountId: string, id: string) => `${accountId}:${id}`

export const make = (graceMillis: number): AwayRows => {
  const leftAt = LruCache.make<number>(rowsMax)
  const waiting = new Map<string, Set<() => void>>()
  return {
    leave: (accountId, rowId, nowMillis) => void leftAt.set(nameOf(accountId, rowId), nowMillis),
    remainingMillis: (accountId, method, nowMillis) => {
      const left = leftAt.get(nameOf(accountId, rowOf(method)))
      return left === undefined ? 0 : Math.max(0, left + graceMillis - nowMillis)
    },
    wait: (accountId, method, onRegister) => {
      const name = nameOf(accountId, method)
      const calls = waiting.get(name) ?? new Set()
      waiting.set(name, calls)
      calls.add(onRegister)
      return () => {
        calls.delete(onRegister)
        if (calls.size === 0 && waiting.get(name) === calls) waiting.delete(name)
      }
    },
    wake: (accountId, method) => {
      const name = nameOf(accountId, method)
      const calls = waiting.get(name) ?? []
      waiting.delete(name)
      for (const onRegister of calls) onRegister()
    }
  }
}
