/**
 * Port: where a flush ends up.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { FlushBatch, FlushEntry, FlushResult, StoredEntry } from "./FlushBatch.ts"
import type * as Lane from "../writer/Lane.ts"
import type { PresenceKey, PresenceKind } from "./PresenceKey.ts"
import type { WriterError } from "../writer/WriterError.ts"

/**
 * A row that the database refuses by itself, whatever is written with it, and why.
 *
 * @category models
 * @since 0.2.0
 */
export interface RefusedEntry extends FlushEntry {
  readonly cause: WriterError
}

/**
 * What a flush committed, and in how many chunks.
 *
 * @category models
 * @since 0.1.0
 */
export interface FlushReport extends FlushResult {
  readonly chunkCount: number
  /** Rows that the database refuses: a trigger, a constraint, a column of another type. The others are written. */
  readonly refused?: ReadonlyArray<RefusedEntry>
}

/**
 * The report of a flush that had nothing to do.
 *
 * @category constructors
 * @since 0.1.0
 */
export const emptyReport: FlushReport = { written: [], superseded: [], missing: [], chunkCount: 0 }

/**
 * A chunk failed, and the ones after it were not tried. `report` holds what the
 * chunks before it committed; every other entry of the batch may be repeated,
 * whatever `cause.written` is, because a flush is idempotent.
 *
 * @category errors
 * @since 0.1.0
 */
export class FlushFailed extends Data.TaggedError("FlushFailed")<{
  readonly report: FlushReport
  readonly cause: WriterError
}> {
  /** @since 0.1.0 */
  override get message(): string {
    return `flush failed after ${this.report.chunkCount} chunks: ${this.cause.message}`
  }
}

/**
 * The store could not be read. Nothing was written.
 *
 * @category errors
 * @since 0.1.0
 */
export class StorageUnreadable extends Data.TaggedError("StorageUnreadable")<{
  readonly what: string
  readonly cause: unknown
}> {
  /** @since 0.1.0 */
  override get message(): string {
    return `could not read ${this.what}: ${String(this.cause)}`
  }
}

/**
 * When a row that is active can have been seen last, both ends included. What is stored with an earlier time has been
 * silent; what is stored with a later one was so before the clock was set back, and proves nothing about now.
 *
 * @category models
 * @since 0.1.0
 */
export interface BelievableTimes {
  /** Epoch ms. */
  readonly firstMillis: number
  /** Epoch ms. */
  readonly lastMillis: number
}

/**
 * A row that is stored as active, and when it was seen last.
 *
 * @category models
 * @since 0.1.0
 */
export interface StaleRow {
  readonly key: PresenceKey
  readonly lastSeenMillis: number
}

/**
 * Where a page ended. Opaque to all but the store that made it.
 *
 * @category models
 * @since 0.1.0
 */
export interface StaleCursor {
  /** Which part of the table the page ended in, from 0. */
  readonly part: number
  readonly stored: number | string
  readonly id: string
}

/**
 * @category models
 * @since 0.1.0
 */
export interface StalePage {
  readonly rows: ReadonlyArray<StaleRow>
  /** `undefined`: no further page. */
  readonly next: StaleCursor | undefined
}

/**
 * @category services
 * @since 0.1.0
 */
export class PresenceStorage extends Context.Tag("presence-effect/presence/PresenceStorage")<
  PresenceStorage,
  {
    /**
     * Stores `batch` on the terms of `lane`, `presence` by default.
     *
     * **Details**
     *
     * - `lastActiveAt` is raised, never lowered, with one exception: a time that lies in the future, which only a clock
     *   that was set back explains, is replaced. No other column but `active` is touched.
     * - `alive` sets `active` when it is newer than what is stored, or when what is stored lies in the future. So a
     *   stored end keeps older signs of life out, also after a restart.
     * - `ended` clears `active`. `offline` does unless something newer than the judged time is stored, and that does
     *   not lie in the future.
     * - A row that the store refuses by itself holds up no other: it is reported in `refused`.
     * - Size: several transactions when the batch would hold the writer too long, each atomic, each queueing anew.
     *
     * **Errors**: `FlushFailed` with what was committed before.
     */
    readonly flush: (batch: FlushBatch, lane?: Lane.Lane) => Effect.Effect<FlushReport, FlushFailed>
    /** Rows stored as active and last seen at no time of `believable`, a page of at most `limit`. A read: no permit. */
    readonly findStale: (
      kind: PresenceKind,
      believable: BelievableTimes,
      limit: number,
      after?: StaleCursor
    ) => Effect.Effect<StalePage, StorageUnreadable>
    /**
     * Clears `active` of those `keys` that are still active and still seen at no time
     * of `believable`, in one statement per kind. Answers the rows really changed.
     */
    readonly markOffline: (
      keys: ReadonlyArray<PresenceKey>,
      believable: BelievableTimes
    ) => Effect.Effect<ReadonlyArray<StaleRow>, WriterError>
  }
>() {}

/**
 * One row of the store in memory.
 *
 * @category models
 * @since 0.1.0
 */
export interface MemoryRow {
  readonly accountId: string
  readonly active: boolean
  readonly lastActiveMillis: number
}

/**
 * Rows by kind and id. The caller that makes it may fill, read and change it.
 *
 * @category models
 * @since 0.1.0
 */
export type MemoryRows = { readonly [K in PresenceKind]: Map<string, MemoryRow> }

/**
 * @category constructors
 * @since 0.1.0
 */
export const memoryRows = (): MemoryRows => ({ session: new Map(), machine: new Map() })

const afterEntry = (row: MemoryRow, entry: FlushEntry, nowMillis: number): MemoryRow => {
  const { lastActiveMillis } = row
  const isNewer = entry.seenAtMillis > lastActiveMillis
  const isActive =
    entry.state === "alive"
      ? row.active || isNewer || lastActiveMillis > nowMillis
      : row.active &&
        entry.state === "offline" &&
        lastActiveMillis > entry.seenAtMillis &&
        lastActiveMillis <= nowMillis
  const isWritten = isNewer || lastActiveMillis > nowMillis
  return { ...row, active: isActive, lastActiveMillis: isWritten ? entry.seenAtMillis : lastActiveMillis }
}

const isBelievable = ({ lastActiveMillis }: MemoryRow, { firstMillis, lastMillis }: BelievableTimes): boolean =>
  lastActiveMillis >= firstMillis && lastActiveMillis <= lastMillis

/**
 * A store in memory, with the rules of the real one. Without `rows` it is empty,
 * so every flushed row is missing.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeMemory = (rows: MemoryRows = memoryRows()): PresenceStorage["Type"] => ({
  flush: (batch) =>
    Effect.map(Clock.currentTimeMillis, (nowMillis): FlushReport => {
      const written: Array<StoredEntry> = []
      const superseded: Array<StoredEntry> = []
      const missing: Array<FlushEntry> = []
      for (const entry of batch.entries) {
        const row = rows[entry.kind].get(entry.id)
        if (row === undefined || row.accountId !== entry.accountId) {
          missing.push(entry)
          continue
        }
        const after = afterEntry(row, entry, nowMillis)
        rows[entry.kind].set(entry.id, after)
        const stored =
          after.lastActiveMillis > entry.seenAtMillis ? { ...entry, storedMillis: after.lastActiveMillis } : entry
        if (after.active === (entry.state === "alive")) written.push(stored)
        else superseded.push(stored)
      }
      return { written, superseded, missing, chunkCount: batch.entries.length === 0 ? 0 : 1 }
    }),
  findStale: (kind, believable, limit, after) =>
    Effect.sync((): StalePage => {
      const found = Array.from(rows[kind])
        .filter(([id, row]) => row.active && !isBelievable(row, believable) && (after === undefined || id > after.id))
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .slice(0, limit)
        .map(([id, row]) => ({ key: { kind, accountId: row.accountId, id }, lastSeenMillis: row.lastActiveMillis }))
      const last = found.at(-1)
      return {
        rows: found,
        next:
          found.length < limit || last === undefined
            ? undefined
            : { part: 0, stored: last.lastSeenMillis, id: last.key.id }
      }
    }),
  markOffline: (keys, believable) =>
    Effect.sync(() => {
      const changed: Array<StaleRow> = []
      for (const key of keys) {
        const row = rows[key.kind].get(key.id)
        if (row === undefined || row.accountId !== key.accountId) continue
        if (!row.active || isBelievable(row, believable)) continue
        rows[key.kind].set(key.id, { ...row, active: false })
        changed.push({ key, lastSeenMillis: row.lastActiveMillis })
      }
      return changed
    })
})

/**
 * @category layers
 * @since 0.1.0
 */
export const layerMemory = (rows?: MemoryRows): Layer.Layer<PresenceStorage> =>
  Layer.sync(PresenceStorage, () => makeMemory(rows))
