/**
 * Port: where a flush ends up.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import { deepStrictEqual } from "node:assert/strict"
 * import * as Presence from "presence-effect/Presence"
 * import * as PresenceStorage from "presence-effect/presence/PresenceStorage"
 *
 * class Devices extends Presence.Tag("example/Devices", { device: {} })<Devices>() {}
 *
 * // A storage of your own implements the same three functions: flush, findStale and markOffline.
 * const rows = PresenceStorage.memoryRows(Devices.kinds)
 * rows.set("device", { id: "phone", active: false, lastActiveMillis: 0 })
 * const end = Effect.flatMap(Devices, (devices) => devices.end({ kind: "device", id: "phone" }, 1_000))
 * await Effect.runPromise(Effect.provide(end, Presence.layerMemory(Devices, {}, rows)))
 *
 * deepStrictEqual(rows.get({ kind: "device", id: "phone" }), { id: "phone", active: false, lastActiveMillis: 1_000 })
 *
 * @since 0.1.0
 */
import { causeText } from "../internal/causeText.ts"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { FlushBatch, FlushEntry, FlushResult, StoredEntry } from "./FlushBatch.ts"
import type * as Lane from "../writer/Lane.ts"
import { nameOf, type PresenceKey } from "./PresenceKey.ts"
import type { Replica } from "./Replica.ts"
import { keyOf, KindUndeclared, type PresenceKinds, rowNameOf } from "./PresenceKind.ts"

/**
 * A write of a storage failed. A storage says with its own `reason` why, and keeps what its driver said in `cause`.
 *
 * @category errors
 * @since 0.3.0
 */
export class StorageFailed extends Data.TaggedError("StorageFailed")<{
  /** One of a small set of words of the storage: a label of metrics and the code of log lines. */
  readonly reason: string
  /** What is stored of the write. `unknown`: the answer was lost, so it may be nothing or everything. */
  readonly written: "nothing" | "unknown" | "everything"
  /** The same write may succeed a moment later. When not, the last flush at shutdown does not try it again. */
  readonly isRetryable: boolean
  readonly cause: unknown
}> {
  /** @since 0.3.0 */
  override get message(): string {
    return this.cause instanceof Error ? this.cause.message : `${this.reason}: ${String(this.cause)}`
  }
}

/**
 * A row that the database refuses by itself, whatever is written with it, and why.
 *
 * @category models
 * @since 0.2.0
 */
export interface RefusedEntry extends FlushEntry {
  readonly cause: StorageFailed
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
  readonly cause: StorageFailed
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
    return `could not read ${this.what}: ${causeText(this.cause)}`
  }
  /**
   * With the message, which the cause of a driver keeps out of JSON.
   *
   * @since 0.3.0
   */
  override toJSON(): unknown {
    return { _tag: this._tag, what: this.what, message: this.message }
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
 * Where a page ended: a text that only the storage that made it can read.
 *
 * @category models
 * @since 0.1.0
 */
export type StaleCursor = string

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
 * Where rows of the declared kinds are kept. Ids and accounts are compared byte for byte. A kind that the storage does
 * not know is a mistake in the program: `KindUndeclared`, as a defect.
 *
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
     * - `alive` sets `active` when it is newer than what is stored, or when what is stored lies in the future or is 0,
     *   which stands for never. So a stored end keeps older signs of life out, also after a restart.
     * - `ended` clears `active`. `offline` does unless something newer than the judged time is stored, and that does
     *   not lie in the future.
     * - A row that the store refuses by itself holds up no other: it is reported in `refused`.
     * - A row that another transaction holds is not waited for: it is reported in `deferred`, never in `missing`.
     * - Size: several transactions when the batch would hold the writer too long, each atomic, each queueing anew.
     *
     * **Errors**: `FlushFailed` with what was committed before.
     */
    readonly flush: (batch: FlushBatch, lane?: Lane.Lane) => Effect.Effect<FlushReport, FlushFailed>
    /** Rows stored as active and last seen at no time of `believable`, a page of at most `limit`. A read: no permit. */
    readonly findStale: (
      kind: string,
      believable: BelievableTimes,
      limit: number,
      after?: StaleCursor
    ) => Effect.Effect<StalePage, StorageUnreadable>
    /**
     * Clears `active` of those `keys` that are still active and still seen at no time
     * of `believable`, all at once. Answers the rows really changed.
     */
    readonly markOffline: (
      keys: ReadonlyArray<PresenceKey>,
      believable: BelievableTimes
    ) => Effect.Effect<ReadonlyArray<StaleRow>, StorageFailed>
    /**
     * Absent: no other process writes presence here.
     *
     * @since 0.4.0
     */
    readonly shared?: SharedStorage
  }
>() {}

/**
 * What a storage adds that several replicas share, for the kinds with a column `servedBy`.
 *
 * **Details**
 *
 * - All times are by the clock of the database, which `Presence` runs on: see `Replica.databaseClock`.
 * - `alive` marks the row with the epoch of this replica when it is newer than what is stored; also when it is what is
 *   stored, and no other replica with a lease serves the row. `ended` is always stored, and marks the row too.
 * - `offline` is stored only where this replica serves the row, or none ever did. Else the entry is `elsewhere`.
 * - While the lease of this replica does not hold, everything but ends is `deferred`.
 * - `findStale` and `markOffline` leave out rows that another replica with a lease serves.
 *
 * @category models
 * @since 0.4.0
 */
export interface SharedStorage {
  readonly replica: Replica["Type"]
  /**
   * Takes rows offline that a replica served whose lease and the grace after it are over: up to `limit` of each kind,
   * all at once. Answers the rows really changed. None while another replica does the same, and while this one has not
   * held its lease for as long as the grace.
   */
  readonly takeOver: (limit: number) => Effect.Effect<ReadonlyArray<StaleRow>, StorageFailed>
}

/**
 * One row of the store in memory.
 *
 * @category models
 * @since 0.1.0
 */
export interface MemoryRow {
  /** Absent for a kind without an account. */
  readonly accountId?: string
  readonly id: string
  readonly active: boolean
  readonly lastActiveMillis: number
}

/**
 * The rows of the store in memory. The caller that makes it may fill, read and change it.
 *
 * @category models
 * @since 0.1.0
 */
export interface MemoryRows {
  /** Stores a row, in the place of one with the same key. */
  readonly set: (kind: string, row: MemoryRow) => void
  /** The row that `key` names, of its account. */
  readonly get: (key: PresenceKey) => MemoryRow | undefined
  readonly delete: (key: PresenceKey) => void
  readonly rowsOf: (kind: string) => Iterable<MemoryRow>
}

/**
 * No rows yet, of the given kinds.
 *
 * @category constructors
 * @since 0.1.0
 */
export const memoryRows = (kinds: PresenceKinds): MemoryRows => {
  const tables = new Map(
    Object.entries(kinds).map(([name, kind]) => [name, { nameOf: rowNameOf(kind), rows: new Map<string, MemoryRow>() }])
  )
  const tableOf = (kind: string) => {
    const table = tables.get(kind)
    if (table === undefined) throw new KindUndeclared({ kind, declared: Object.keys(kinds) })
    return table
  }
  const get = (key: PresenceKey): MemoryRow | undefined => {
    const { nameOf, rows } = tableOf(key.kind)
    const row = rows.get(nameOf(key))
    return row?.accountId === key.accountId ? row : undefined
  }
  return {
    set: (kind, row) => {
      const { nameOf, rows } = tableOf(kind)
      rows.set(nameOf(row), row)
    },
    get,
    delete: (key) => {
      const { nameOf, rows } = tableOf(key.kind)
      if (get(key) !== undefined) rows.delete(nameOf(key))
    },
    rowsOf: (kind) => tableOf(kind).rows.values()
  }
}

const afterEntry = (row: MemoryRow, entry: FlushEntry, nowMillis: number): MemoryRow => {
  const { lastActiveMillis } = row
  const isNewer = entry.seenAtMillis > lastActiveMillis || lastActiveMillis <= 0 || lastActiveMillis > nowMillis
  const isActive =
    entry.state === "alive"
      ? row.active || isNewer
      : row.active &&
        entry.state === "offline" &&
        lastActiveMillis > entry.seenAtMillis &&
        lastActiveMillis <= nowMillis
  return { ...row, active: isActive, lastActiveMillis: isNewer ? entry.seenAtMillis : lastActiveMillis }
}

const isBelievable = ({ lastActiveMillis }: MemoryRow, { firstMillis, lastMillis }: BelievableTimes): boolean =>
  lastActiveMillis >= firstMillis && lastActiveMillis <= lastMillis

const flushMemory = (rows: MemoryRows, entries: ReadonlyArray<FlushEntry>, nowMillis: number): FlushReport => {
  const written: Array<StoredEntry> = []
  const superseded: Array<StoredEntry> = []
  const missing: Array<FlushEntry> = []
  for (const entry of entries) {
    const row = rows.get(entry)
    if (row === undefined) {
      missing.push(entry)
      continue
    }
    const after = afterEntry(row, entry, nowMillis)
    rows.set(entry.kind, after)
    const stored =
      after.lastActiveMillis > entry.seenAtMillis ? { ...entry, storedMillis: after.lastActiveMillis } : entry
    if (after.active === (entry.state === "alive")) written.push(stored)
    else superseded.push(stored)
  }
  return { written, superseded, missing, chunkCount: entries.length === 0 ? 0 : 1 }
}

/**
 * A store in memory, with the rules of the real one. Every row that is not among `rows` is missing.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeMemory = (rows: MemoryRows): PresenceStorage["Type"] => ({
  flush: (batch) => Effect.map(Clock.currentTimeMillis, (nowMillis) => flushMemory(rows, batch.entries, nowMillis)),
  findStale: (kind, believable, limit, after) =>
    Effect.sync((): StalePage => {
      const found = Array.from(rows.rowsOf(kind), (row) => ({ row, key: keyOf(kind, row.accountId, row.id) }))
        .map(({ key, row }) => ({ row, key, name: nameOf(key) }))
        .filter(
          ({ name, row }) => row.active && !isBelievable(row, believable) && (after === undefined || name > after)
        )
        .toSorted((a, b) => (a.name < b.name ? -1 : 1))
        .slice(0, limit)
      return {
        rows: found.map(({ key, row }) => ({ key, lastSeenMillis: row.lastActiveMillis })),
        next: found.length < limit ? undefined : found.at(-1)?.name
      }
    }),
  markOffline: (keys, believable) =>
    Effect.sync(() => {
      const changed: Array<StaleRow> = []
      for (const key of keys) {
        const row = rows.get(key)
        if (row === undefined || !row.active || isBelievable(row, believable)) continue
        rows.set(key.kind, { ...row, active: false })
        changed.push({ key, lastSeenMillis: row.lastActiveMillis })
      }
      return changed
    })
})

/**
 * @category layers
 * @since 0.1.0
 */
export const layerMemory = (rows: MemoryRows): Layer.Layer<PresenceStorage> =>
  Layer.sync(PresenceStorage, () => makeMemory(rows))
