/**
 * What arrives when: the same for every strategy of a seed, and made before anything runs.
 *
 * Arrivals are independent of the answers (an open loop). A strategy that stalls finds all arrivals of the meantime
 * waiting, as a server does.
 */
import * as PresenceKey from "./PresenceKey.ts"
import { PCGRandom } from "effect/Utils"
import * as Scenario from "./Scenario.ts"

export interface Arrival {
  readonly kind: "registration" | "message" | "report"
  /** From the start of the load. */
  readonly atMillis: number
  /** The machine that registers, or the session that writes. */
  readonly subject: string
  /** Of the row that is written. */
  readonly id: string
}

/** The write lock is in other hands. */
export interface ForeignHold {
  readonly atMillis: number
  readonly holdMillis: number
}

export interface Workload {
  readonly sessions: ReadonlyArray<PresenceKey.PresenceKey>
  readonly machines: ReadonlyArray<PresenceKey.PresenceKey>
  /** In the order of time. */
  readonly arrivals: ReadonlyArray<Arrival>
  readonly foreignHolds: ReadonlyArray<ForeignHold>
}

export const accountId = "account"

const named = (prefix: string, count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, index) => `${prefix}-${index + 1}`)

/** Arrivals of many independent clients: a Poisson stream. */
const stream = (
  random: PCGRandom,
  meanMillis: number,
  untilMillis: number,
  arrival: (atMillis: number, index: number) => Arrival
): ReadonlyArray<Arrival> => {
  const arrivals: Array<Arrival> = []
  for (let atMillis = 0, index = 1; ; index++) {
    atMillis -= Math.log(1 - random.number()) * meanMillis
    if (atMillis >= untilMillis) return arrivals
    arrivals.push(arrival(atMillis, index))
  }
}

/** About every five seconds, for half a second to one and a half. */
const foreignHolds = (random: PCGRandom, untilMillis: number): ReadonlyArray<ForeignHold> => {
  const holds: Array<ForeignHold> = []
  for (let atMillis = 1_000 + random.number() * 3_000; atMillis < untilMillis;) {
    const holdMillis = 500 + random.number() * 1_000
    holds.push({ atMillis, holdMillis })
    atMillis += holdMillis + 2_000 + random.number() * 4_000
  }
  return holds
}

type Terms = Pick<Scenario.Scenario, "sessionCount" | "seconds" | "seed" | "hasForeignLock">

export const make = (terms: Terms): Workload => {
  const untilMillis = Scenario.loadMillis(terms)
  // A stream of its own for each kind and session, so that a further session changes nothing for those before it.
  const randomOf = (kind: number, index: number) => new PCGRandom(terms.seed, kind * 1_000_000 + index)
  const sessions = named("session", terms.sessionCount)
  const busy = sessions.slice(0, Scenario.busySessionMax)
  const arrivals = [
    stream(randomOf(1, 0), Scenario.registrationEveryMillis, untilMillis, (atMillis, index) => {
      const id = `new-machine-${index}`
      return { kind: "registration", atMillis, subject: id, id }
    }),
    ...busy.map((subject, session) =>
      stream(randomOf(2, session), Scenario.messageEveryMillis, untilMillis, (atMillis, index) => {
        return { kind: "message", atMillis, subject, id: `${subject}-message-${index}` }
      })
    ),
    ...busy.map((subject, session) =>
      stream(randomOf(3, session), Scenario.reportEveryMillis, untilMillis, (atMillis, index) => {
        return { kind: "report", atMillis, subject, id: `${subject}-report-${index}` }
      })
    )
  ]
  return {
    sessions: sessions.map((id) => PresenceKey.session(accountId, id)),
    machines: named("machine", Scenario.machineCount).map((id) => PresenceKey.machine(accountId, id)),
    arrivals: arrivals.flat().toSorted((left, right) => left.atMillis - right.atMillis),
    foreignHolds: terms.hasForeignLock ? foreignHolds(randomOf(4, 0), untilMillis) : []
  }
}
