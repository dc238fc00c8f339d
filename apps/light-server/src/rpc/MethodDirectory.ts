/** Which socket answers which method, separately for each account. */

/** The outcome of an attempt to register. */
export type Registered = "registered" | "replaced" | "limited"

/** Plain state: every member runs to its end before another one begins. */
export interface MethodDirectory<Registrant extends object> {
  /**
   * The newest registrant answers; older ones stay in order behind it. A
   * registrant that has `methodLimit` methods gets no more.
   */
  readonly register: (accountId: string, method: string, registrant: Registrant) => Registered
  /** The registrant before it answers again. No effect when it does not have the method. */
  readonly unregister: (accountId: string, method: string, registrant: Registrant) => void
  /** Removes all methods of a registrant that disconnected. */
  readonly unregisterAll: (accountId: string, registrant: Registrant) => void
  readonly find: (accountId: string, method: string) => Registrant | undefined
  /** Methods of all accounts. */
  readonly count: () => number
}

export const make = <Registrant extends object>(methodLimit: number): MethodDirectory<Registrant> => {
  /** The registrants of each method, the newest last. */
  const accounts = new Map<string, Map<string, Array<Registrant>>>()
  const methodsOf = new WeakMap<Registrant, Set<string>>()
  let count = 0

  const unregister = (accountId: string, method: string, registrant: Registrant) => {
    methodsOf.get(registrant)?.delete(method)
    const methods = accounts.get(accountId)
    const registrants = methods?.get(method)
    const index = registrants?.indexOf(registrant) ?? -1
    if (methods === undefined || registrants === undefined || index < 0) return
    registrants.splice(index, 1)
    if (registrants.length > 0) return
    methods.delete(method)
    count -= 1
    if (methods.size === 0) accounts.delete(accountId)
  }

  return {
    register: (accountId, method, registrant) => {
      const own = methodsOf.get(registrant) ?? new Set<string>()
      if (!own.has(method) && own.size >= methodLimit) return "limited"
      const methods = accounts.get(accountId) ?? new Map<string, Array<Registrant>>()
      const before = methods.get(method)
      const others = before?.filter((other) => other !== registrant) ?? []
      if (before === undefined) count += 1
      methods.set(method, [...others, registrant])
      own.add(method)
      accounts.set(accountId, methods)
      methodsOf.set(registrant, own)
      return others.length === 0 ? "registered" : "replaced"
    },
    unregister,
    unregisterAll: (accountId, registrant) => {
      for (const method of methodsOf.get(registrant) ?? []) unregister(accountId, method, registrant)
    },
    find: (accountId, method) => accounts.get(accountId)?.get(method)?.at(-1),
    count: () => count
  }
}
