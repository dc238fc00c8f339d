/**
 * One run of one strategy, as a value: it crosses the border of a process as it is.
 *
 * The numbers here are what the lab assumes. README.md says which of them the incident showed, and which are choices.
 */
import type { DatabaseKind, StrategyName } from "./strategies/Catalogue.ts"

export interface Scenario {
  readonly strategy: StrategyName
  readonly sessionCount: number
  readonly database: DatabaseKind
  /** To a database server, of each strategy. SQLite has one writer, whatever this says. */
  readonly connections: number
  /** Time in which arrivals are measured. The load goes on until each has its answer or is given up. */
  readonly seconds: number
  readonly seed: number
  /** `slow`: every commit that waits for the disk waits `slowSyncMillis` longer. */
  readonly disk: "real" | "slow"
  /** Another process takes the write lock now and then; on PostgreSQL it locks the rows of all sessions. */
  readonly hasForeignLock: boolean
  /** What one statement costs an engine with round trips, besides its work. */
  readonly roundTripMillis: number
  readonly flushIntervalMillis: number
  /** How the per-row loop sends the rows of one tick: all at once, or each after the answer to the one before. */
  readonly rows: "together" | "in-turn"
}

/** A daemon gives up the registration of its machine after this time, and starts over. */
export const daemonLimitMillis = 10_000

/** It waits this long after an error. */
export const daemonPauseMillis = 1_000

/** The engine of the incident answered a caller with an error after this time. */
export const engineTimeoutMillis = 5_000

export const slowSyncMillis = 20

/** Machines that beat, besides those that register. */
export const machineCount = 3

/** Sessions that also write messages and reports: from nine sessions on, only presence grows. */
export const busySessionMax = 9

/** Mean time between two registrations, all machines together. */
export const registrationEveryMillis = 400

/** Mean time between two messages of one busy session. */
export const messageEveryMillis = 1_500

/** Mean time between two usage reports of one busy session. */
export const reportEveryMillis = 3_000

/** Busy sessions beat every 2 s and the tick of the incident came every 5 s: each tick found every row changed. */
export const beatEveryMillis = ({ flushIntervalMillis }: Pick<Scenario, "flushIntervalMillis">): number =>
  flushIntervalMillis * 0.4

/** The end of the load: every measured daemon has an answer or has given up. */
export const loadMillis = ({ seconds }: Pick<Scenario, "seconds">): number => seconds * 1_000 + daemonLimitMillis
