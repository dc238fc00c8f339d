/** Who answers which method, for each account of its own. */

/** What became of an attempt to register. */
export type Registered = "registered" | "replaced" | "limited"

/** Plain state: every member is one step, so no two of them can mix. */
export interface MethodDirectory<Registrant extends object> {
  /** The newest registrant wins. One that has `methodLimit` methods gets no more. */
  readonly register: (accountId: string, method: string, registrant: Registrant) => Registered
  /** Has no effect when somebody else has the method by now. */
  readonly unregister: (accountId: string, method: string, registrant: Registrant) => void
  /** Takes everything from somebody who left. */
  readonly unregisterAll: (accountId: string, registrant: Registrant) => void
  readonly find: (accountId: string, method: string) => Registrant | undefined
  /** Methods of all accounts. */
  readonly count: () => number
}

export const make = <Registrant extends object>(methodLimit: number): MethodDirectory<Registrant> => {
  const accounts = new Map<string, Map<string, Registrant>>()
  const methodsOf = new WeakMap<Registrant, Set<string>>()
  let count = 0

  const unregister = (accountId: string, method: string, registrant: Registrant) => {
    methodsOf.get(registrant)?.delete(method)
    const methods = accounts.get(accountId)
    if (methods?.get(method) !== registrant) return
    methods.delete(method)
    count -= 1
    if (methods.size === 0) accounts.delete(accountId)
  }

  return {
    register: (accountId, method, registrant) => {
      const own = methodsOf.get(registrant) ?? new Set<string>()
      if (!own.has(method) && own.size >= methodLimit) return "limited"
      const methods = accounts.get(accountId) ?? new Map<string, Registrant>()
      const before = methods.get(method)
      if (before !== undefined && before !== registrant) methodsOf.get(before)?.delete(method)
      if (before === undefined) count += 1
      methods.set(method, registrant)
      own.add(method)
      accounts.set(accountId, methods)
      methodsOf.set(registrant, own)
      return before === undefined || before === registrant ? "registered" : "replaced"
    },
    unregister,
    unregisterAll: (accountId, registrant) => {
      for (const method of methodsOf.get(registrant) ?? []) unregister(accountId, method, registrant)
    },
    find: (accountId, method) => accounts.get(accountId)?.get(method),
    count: () => count
  }
}
