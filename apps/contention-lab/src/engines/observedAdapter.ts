/** Measures how long Prisma's adapter holds the write lock, and delays its commits as the scenario requires. */
import type { PrismaBetterSqlite3 } from "@prisma/adapter-better-sqlite3"
import { blockFor } from "./blockFor.ts"

type Factory = Pick<PrismaBetterSqlite3, "adapterName" | "connect" | "provider">
type Adapter = Awaited<ReturnType<Factory["connect"]>>
type Transaction = Awaited<ReturnType<Adapter["startTransaction"]>>

export interface Observation {
  readonly now: () => number
  readonly held: (millis: number) => void
  /** Blocks the thread that long at every commit: this is where the driver would wait for the disk. */
  readonly syncMillis: number
}

/** The same object with some methods replaced; the others keep their `this`, private fields included. */
const replaced = <A extends object>(self: A, methods: Partial<A>): A =>
  new Proxy(self, {
    get: (target, name) => {
      const method = Reflect.get(name in methods ? methods : target, name, name in methods ? methods : target)
      return typeof method === "function" ? method.bind(name in methods ? methods : target) : method
    }
  })

const observedTransaction = (transaction: Transaction, { held, now, syncMillis }: Observation): Transaction => {
  const startedAt = now()
  const end = () => held(now() - startedAt)
  return replaced(transaction, {
    executeRaw: (query) => {
      if (query.sql === "COMMIT") blockFor(syncMillis)
      return transaction.executeRaw(query)
    },
    commit: () => {
      end()
      return transaction.commit()
    },
    rollback: () => {
      end()
      return transaction.rollback()
    }
  })
}

export const observed = (factory: Factory, observation: Observation): Factory => ({
  provider: factory.provider,
  adapterName: factory.adapterName,
  connect: async () => {
    const adapter = await factory.connect()
    return replaced(adapter, {
      // Outside a transaction a statement is its own commit. The driver is done when the call returns; what comes after
      // is the wait of a promise for its turn, and holds nothing.
      executeRaw: (query) => {
        const startedAt = observation.now()
        blockFor(observation.syncMillis)
        try {
          return adapter.executeRaw(query)
        } finally {
          observation.held(observation.now() - startedAt)
        }
      },
      startTransaction: async (level) => observedTransaction(await adapter.startTransaction(level), observation)
    })
  }
})
