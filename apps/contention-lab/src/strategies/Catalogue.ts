/** The strategies, and what each of them is. */

export type DatabaseKind = "sqlite" | "postgres"

/** Where the engine is, and so what one statement costs. */
export type Place = "in process" | "behind round trips" | "own thread" | "direct"

export interface Entry {
  readonly place: Place
  /** One sentence for the reports. */
  readonly meaning: string
  /** How heartbeats become writes. */
  readonly shape: "per-row" | "one-transaction" | "case-when" | "presence-effect"
  /** Whether registrations are served first. `undefined` where there are no lanes at all. */
  readonly lanes?: "priority" | "one"
}

/** In the order of the reports: the incident first, then one remedy after the other. */
export const catalogue = {
  "per-row-roundtrip": {
    place: "behind round trips",
    shape: "per-row",
    meaning:
      "The incident: one update per row, and every statement crosses to the engine and back while the lock is held."
  },
  "one-transaction-roundtrip": {
    place: "behind round trips",
    shape: "one-transaction",
    meaning: "The same engine; the updates of a tick share one transaction: one BEGIN and one COMMIT per tick."
  },
  "case-when-roundtrip": {
    place: "behind round trips",
    shape: "case-when",
    meaning: "The same engine; the updates of a tick are one literal CASE id WHEN statement."
  },
  "presence-effect-one-lane-roundtrip": {
    place: "behind round trips",
    shape: "presence-effect",
    lanes: "one",
    meaning: "This project with the same crossing: a write crosses as a whole, once. Everybody waits in one lane."
  },
  "presence-effect-roundtrip": {
    place: "behind round trips",
    shape: "presence-effect",
    lanes: "priority",
    meaning: "The same, and a registration overtakes what can wait."
  },
  "per-row-prisma": {
    place: "in process",
    shape: "per-row",
    meaning: "One updateMany per row through a real Prisma client, whose driver runs SQLite in the process itself."
  },
  "one-transaction": {
    place: "in process",
    shape: "one-transaction",
    meaning: "The updateMany of all rows in one $transaction([...]) of the same Prisma client."
  },
  "case-when": {
    place: "in process",
    shape: "case-when",
    meaning: "One literal CASE id WHEN statement per tick and table, through the same Prisma client."
  },
  "presence-effect-one-lane": {
    place: "own thread",
    shape: "presence-effect",
    lanes: "one",
    meaning: "This project as it ships, but everybody waits in one lane."
  },
  "presence-effect": {
    place: "own thread",
    shape: "presence-effect",
    lanes: "priority",
    meaning: "This project as it ships: SQLite in a thread of its own, one statement per tick, lanes in order."
  }
} as const satisfies Record<string, Entry>

export type StrategyName = keyof typeof catalogue

export const strategyNames = Object.keys(catalogue) as ReadonlyArray<StrategyName>

/** What is different on PostgreSQL. A Prisma client in process has no counterpart there. */
const onPostgres: { readonly [Name in StrategyName]?: Partial<Entry> } = {
  "per-row-roundtrip": {
    meaning:
      "The incident over a pool of connections: one update per row, and every statement crosses to the server and " +
      "back while the connection is held. All callers wait in one queue for the pool."
  },
  "one-transaction-roundtrip": {
    meaning: "The same pool; the updates of a tick share one transaction, which keeps its rows locked until it commits."
  },
  "case-when-roundtrip": { meaning: "The same pool; the updates of a tick are one literal CASE id WHEN statement." },
  "presence-effect-one-lane-roundtrip": {
    meaning:
      "This project as far away: a write and its commit are two crossings, and a tick skips rows that are locked. " +
      "Everybody waits in one lane."
  },
  "presence-effect-roundtrip": {
    meaning: "The same with lanes: one connection is kept for registrations, and they are served first."
  },
  "presence-effect-one-lane": {
    place: "direct",
    meaning: "This project without the added crossing, but everybody waits in one lane."
  },
  "presence-effect": { place: "direct", meaning: "This project without the added crossing, lanes in order." }
}

export const entryOf = (name: StrategyName, database: DatabaseKind = "sqlite"): Entry => ({
  ...catalogue[name],
  ...(database === "postgres" ? onPostgres[name] : {})
})

/** A real Prisma client runs SQLite in the process itself: neither in virtual time nor over a network. */
export const needsProcess = (name: StrategyName): boolean => entryOf(name).place === "in process"
