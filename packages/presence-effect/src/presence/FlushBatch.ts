/**
 * What one tick took: one entry per row, split to fit the hold budget.
 *
 * @example
 * import { deepStrictEqual } from "node:assert/strict"
 * import * as FlushBatch from "presence-effect/presence/FlushBatch"
 *
 * const { entries } = FlushBatch.make([
 *   { kind: "device", id: "phone", seenAtMillis: 1_000, state: "alive" },
 *   { kind: "device", id: "laptop", seenAtMillis: 2_000, state: "ended" }
 * ])
 *
 * deepStrictEqual([...FlushBatch.countByKind(entries)], [["device", 2]])
 *
 * @since 0.1.0
 */
import type { PresenceKey } from "./PresenceKey.ts"

/**
 * What a flush writes for a row.
 *
 * - `alive`: active, unless the database has something newer.
 * - `ended`: inactive, whatever is stored. The time is the end marker.
 * - `offline`: inactive, unless the database has a sign of life newer than the
 *   one that was considered.
 *
 * @category models
 * @since 0.1.0
 */
export type FlushState = "alive" | "ended" | "offline"

/**
 * @category models
 * @since 0.1.0
 */
export interface FlushEntry extends PresenceKey {
  /** Epoch ms of the newest sign of life, or of the end. Lowers what is stored only when that lies in the future. */
  readonly seenAtMillis: number
  readonly state: FlushState
}

/**
 * An entry as a store left it, with what it holds now when that is newer.
 *
 * @category models
 * @since 0.2.0
 */
export interface StoredEntry extends FlushEntry {
  /** Epoch ms of `lastActiveAt` after the flush. Absent: the time of the entry. */
  readonly storedMillis?: number
  /**
   * An end ended what was online, also when this replica took the row for offline. Only of kinds with `servedBy`.
   *
   * @since 0.4.0
   */
  readonly wasActive?: true
}

/**
 * What became of the entries of a flush.
 *
 * - `written`: the database has the values of the entry, or newer ones of the same kind.
 * - `superseded`: the row exists, but the database has a newer state: an end that is not older than the sign of life,
 *   or a sign of life newer than the one that was considered.
 * - `missing`: no such row in this account.
 * - `deferred`: another transaction holds the row at this moment, so nothing was written. The next flush tries again.
 *   Only of a database in which several connections write.
 * - `elsewhere`: another replica serves the row, so it is not offline because this one no longer does. Nothing was
 *   written. Only of kinds with `servedBy`.
 *
 * @category models
 * @since 0.1.0
 */
export interface FlushResult {
  readonly written: ReadonlyArray<StoredEntry>
  readonly superseded: ReadonlyArray<StoredEntry>
  readonly missing: ReadonlyArray<FlushEntry>
  /** @since 0.4.0 */
  readonly deferred?: ReadonlyArray<FlushEntry>
  /** @since 0.4.0 */
  readonly elsewhere?: ReadonlyArray<FlushEntry>
}

/**
 * At most one entry per row.
 *
 * @category models
 * @since 0.1.0
 */
export interface FlushBatch {
  readonly entries: ReadonlyArray<FlushEntry>
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (entries: ReadonlyArray<FlushEntry>): FlushBatch => ({ entries })

/**
 * The batch with nothing in it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const empty: FlushBatch = make([])

/**
 * Entries per kind, kinds without any left out.
 *
 * @category getters
 * @since 0.1.0
 */
export const countByKind = (entries: ReadonlyArray<PresenceKey>): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>()
  for (const { kind } of entries) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  return counts
}
