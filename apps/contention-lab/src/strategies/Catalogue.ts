/** The strategies, and what each of them is. */

/** Where the engine is, and so what one statement costs. */
export type Place = "in process" | "behind round trips" | "own thread"

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

export const entryOf = (name: StrategyName): Entry => catalogue[name]
