/** What a fleet keeps online, where it is stored, and in which order its writes are served. */
import { pipe } from "effect/Function"
import type * as PresenceKind from "presence-effect/presence/PresenceKind"
import * as PresenceTables from "presence-effect/sqlite/PresenceTables"
import * as Lane from "presence-effect/writer/Lane"
import * as WriterPolicy from "presence-effect/writer/WriterPolicy"

export const kinds = {
  /** Two fleets may use the same number for a device. */
  device: { table: "Device", id: "number", accountId: "fleet", key: ["accountId", "id"] },
  /** A job is alive while its device reports progress. */
  job: { table: "Job", active: "running", lastActiveAt: "progressAt" }
} as const satisfies PresenceKind.PresenceKinds

export type Key = PresenceKind.KeyOf<typeof kinds>

/** The tables of presence, and those that the fleet adds. Runs at each start. */
export const schema = `${PresenceTables.ddl(kinds)}
CREATE TABLE IF NOT EXISTS Assignment (job TEXT PRIMARY KEY, fleet TEXT NOT NULL, device TEXT);
CREATE TABLE IF NOT EXISTS Reading (
  fleet TEXT NOT NULL, device TEXT NOT NULL, atMillis INTEGER NOT NULL, value REAL NOT NULL,
  PRIMARY KEY (fleet, device, atMillis)
);`

/** Assignments of jobs: a device waits for them, but a new device goes first. */
export const dispatch = Lane.make("dispatch")

/** Readings arrive in bulk and may wait longest. Many share a commit, and a power cut may take the last of them. */
export const telemetry = Lane.make("telemetry")

export const policy = pipe(
  WriterPolicy.defaults,
  WriterPolicy.addLane(
    {
      lane: dispatch,
      acquireTimeout: "2 seconds",
      holdLimit: "1 second",
      deadline: "6 seconds",
      capacity: 256,
      groupLimit: 16,
      retry: { retryFor: "2 seconds", retryDelay: "20 millis", retryDelayMax: "200 millis" },
      durability: "power-loss"
    },
    Lane.data
  ),
  WriterPolicy.addLane(
    {
      lane: telemetry,
      acquireTimeout: "10 seconds",
      holdLimit: "1 second",
      deadline: "15 seconds",
      capacity: 1_024,
      groupLimit: 64,
      retry: { retryFor: "3 seconds", retryDelay: "50 millis", retryDelayMax: "500 millis" },
      durability: "process-crash"
    },
    Lane.maintenance
  )
)
