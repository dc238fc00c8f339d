/**
 * Several replicas over one database in memory, for tests and simulations of a
 * host that runs as several processes.
 *
 * Each replica that joins has a storage of its own, with the rules of marks and
 * leases that the storage of PostgreSQL has. The database has its own clock, and
 * can be away.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import { deepStrictEqual } from "node:assert/strict"
 * import * as PresenceStorage from "presence-effect/presence/PresenceStorage"
 * import * as SimulatedReplicas from "presence-effect/testing/SimulatedReplicas"
 *
 * const kinds = { device: { servedBy: "servedBy" } }
 * const phone = { kind: "device", id: "phone" }
 * const program = Effect.gen(function* () {
 *   const rows = PresenceStorage.memoryRows(kinds)
 *   rows.set("device", { id: "phone", active: false, lastActiveMillis: 0 })
 *   const database = SimulatedReplicas.make(kinds, rows, { nowMillis: Date.now })
 *   const [one, other] = [yield* database.join(), yield* database.join()]
 *   yield* other.flush({ entries: [{ ...phone, seenAtMillis: Date.now(), state: "alive" }] })
 *   // The first replica does not serve the phone, so it cannot show it offline.
 *   const offline = { ...phone, seenAtMillis: Date.now(), state: "offline" as const }
 *   deepStrictEqual((yield* one.flush({ entries: [offline] })).elsewhere?.length, 1)
 *   deepStrictEqual(rows.get(phone)?.active, true)
 * })
 * await Effect.runPromise(Effect.scoped(program))
 *
 * @since 0.4.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { FlushEntry } from "../presence/FlushBatch.ts"
import * as FlushBatch from "../presence/FlushBatch.ts"
import { nameOf, type PresenceKey } from "../presence/PresenceKey.ts"
import { keyOf, type PresenceKinds } from "../presence/PresenceKind.ts"
import type { FlushReport, MemoryRows, PresenceStorage, StaleRow } from "../presence/PresenceStorage.ts"
import * as Storage from "../presence/PresenceStorage.ts"
import * as Replica from "../presence/Replica.ts"

/**
 * @category models
 * @since 0.4.0
 */
export interface SimulationOptions {
  /** The clock of the database, in epoch milliseconds. */
  readonly nowMillis: () => number
  /** How long each call takes until the database has done it. Default: no time. */
  readonly latencyMillis?: number
  /** Called after each change of rows, with the epoch of the replica that made it. */
  readonly onCommit?: (epoch: string) => void
}

/**
 * A lease as the database has it.
 *
 * @category models
 * @since 0.4.0
 */
export interface StoredLease {
  /** Epoch ms, by the clock of the database. */
  startedMillis: number
  /** Epoch ms, by the clock of the database. */
  beatMillis: number
}

/**
 * The database.
 *
 * @category models
 * @since 0.4.0
 */
export interface SimulatedReplicas {
  /** One more replica: its lease begins now and ends with the scope. */
  readonly join: (
    options?: Partial<Replica.ReplicaOptions>
  ) => Effect.Effect<
    PresenceStorage["Type"] & Required<Pick<PresenceStorage["Type"], "shared">>,
    Replica.ReplicaInvalid | Storage.StorageFailed,
    Scope.Scope
  >
  /** The mark of a row. `undefined`: it has none. */
  readonly servedBy: (key: PresenceKey) => string | undefined
  /** The leases by their epochs. A test may change them. */
  readonly leases: Map<string, StoredLease>
  /** While it is away, each call fails, and nothing is written. */
  readonly setAway: (isAway: boolean) => void
}

const away = new Storage.StorageFailed({
  reason: "ConnectionLost",
  written: "nothing",
  isRetryable: true,
  cause: new Error("the database is away")
})

/** The database as all replicas see it. */
class Database {
  readonly leases = new Map<string, StoredLease>()
  readonly marks = new Map<string, string>()
  readonly rows: MemoryRows
  readonly options: SimulationOptions
  readonly kinds: PresenceKinds
  private readonly plain: PresenceStorage["Type"]
  private readonly clock: Clock.Clock
  isAway = false
  private leaseCount = 0

  constructor(kinds: PresenceKinds, rows: MemoryRows, options: SimulationOptions) {
    this.kinds = kinds
    this.rows = rows
    this.options = options
    this.plain = Storage.makeMemory(rows)
    const base = Clock.make()
    this.clock = {
      [Clock.ClockTypeId]: Clock.ClockTypeId,
      unsafeCurrentTimeMillis: options.nowMillis,
      unsafeCurrentTimeNanos: () => BigInt(options.nowMillis()) * 1_000_000n,
      currentTimeMillis: Effect.sync(options.nowMillis),
      currentTimeNanos: Effect.sync(() => BigInt(options.nowMillis()) * 1_000_000n),
      sleep: (duration) => base.sleep(duration)
    }
  }

  /** Does `work` at once, after the latency, unless the database is away then. */
  call<A>(work: () => A): Effect.Effect<A, Storage.StorageFailed> {
    const { latencyMillis = 0 } = this.options
    const done = Effect.suspend(() => (this.isAway ? Effect.fail(away) : Effect.sync(work)))
    return latencyMillis === 0 ? done : Effect.zipRight(Effect.sleep(latencyMillis), done)
  }

  /** What the storage in memory does, at once and by the clock of the database. */
  now<A>(self: (storage: PresenceStorage["Type"]) => Effect.Effect<A, unknown>): A {
    return Effect.runSync(Effect.withClock(self(this.plain), this.clock))
  }

  begin(): Replica.Lease {
    const nowMillis = this.options.nowMillis()
    const epoch = `epoch ${++this.leaseCount}`
    this.leases.set(epoch, { startedMillis: nowMillis, beatMillis: nowMillis })
    return { epoch, nowMillis }
  }

  isHeld(epoch: string | undefined, leaseMillis: number): boolean {
    const lease = epoch === undefined ? undefined : this.leases.get(epoch)
    return lease !== undefined && lease.beatMillis >= this.options.nowMillis() - leaseMillis
  }

  isMarked({ kind }: PresenceKey): boolean {
    return this.kinds[kind]?.servedBy !== undefined
  }
}

const storeOf =
  (database: Database) =>
  (leaseMillis: number): Replica.LeaseStore<Storage.StorageFailed> => ({
    begin: database.call(() => database.begin()),
    beat: (epoch) =>
      database.call(() => {
        const lease = database.leases.get(epoch)
        if (lease === undefined || !database.isHeld(epoch, leaseMillis)) return undefined
        return (lease.beatMillis = database.options.nowMillis())
      }),
    end: (epoch) =>
      database.call(() => {
        const lease = database.leases.get(epoch)
        if (lease !== undefined) lease.beatMillis = database.options.nowMillis() - leaseMillis - 1
      })
  })

const nothing: FlushReport = { written: [], superseded: [], missing: [], chunkCount: 0 }

/** What one entry does, by the epoch `me`. */
const flushOne = (database: Database, me: string, leaseMillis: number, entry: FlushEntry): FlushReport => {
  const before = database.rows.get(entry)
  const write = () => database.now(({ flush }) => flush(FlushBatch.make([entry])))
  if (before === undefined || !database.isMarked(entry)) return write()
  const name = nameOf(entry)
  const mark = database.marks.get(name)
  // An end is stored whatever became of the lease.
  if (entry.state !== "ended" && !database.isHeld(me, leaseMillis)) return { ...nothing, deferred: [entry] }
  if (entry.state === "offline" && mark !== undefined && mark !== me) return { ...nothing, elsewhere: [entry] }
  const { lastActiveMillis } = before
  const isNewer =
    entry.seenAtMillis > lastActiveMillis || lastActiveMillis <= 0 || lastActiveMillis > database.options.nowMillis()
  const isFree = mark === undefined || mark === me || !database.isHeld(mark, leaseMillis)
  const isStamped = isNewer || (isFree && entry.seenAtMillis === lastActiveMillis)
  if (entry.state === "ended" || (entry.state === "alive" && isStamped)) database.marks.set(name, me)
  const report = write()
  if (entry.state !== "ended" || !before.active) return report
  return { ...report, written: report.written.map((stored) => ({ ...stored, wasActive: true as const })) }
}

const together = (reports: ReadonlyArray<FlushReport>): FlushReport => {
  const all = <K extends "deferred" | "elsewhere">(part: K) => {
    const entries = reports.flatMap((report) => report[part] ?? [])
    return entries.length === 0 ? {} : { [part]: entries }
  }
  return {
    written: reports.flatMap(({ written }) => written),
    superseded: reports.flatMap(({ superseded }) => superseded),
    missing: reports.flatMap(({ missing }) => missing),
    ...all("deferred"),
    ...all("elsewhere"),
    chunkCount: reports.length === 0 ? 0 : 1
  }
}

/** The rows of one kind whose replica is gone. */
const abandoned = (database: Database, kind: string, deadMillis: number): ReadonlyArray<StaleRow> =>
  Array.from(database.rows.rowsOf(kind)).flatMap(({ accountId, active, id, lastActiveMillis }) => {
    const key = keyOf(kind, accountId, id)
    const lease = database.leases.get(database.marks.get(nameOf(key)) ?? "")
    const isGone = lease !== undefined && lease.beatMillis < database.options.nowMillis() - deadMillis
    return active && isGone ? [{ key, lastSeenMillis: lastActiveMillis }] : []
  })

const takeOver = (database: Database, replica: Replica.Replica["Type"], limit: number): ReadonlyArray<StaleRow> => {
  const { epoch, graceMillis, leaseMillis } = replica
  const own = database.leases.get(epoch())
  const isWinner =
    database.isHeld(epoch(), leaseMillis) && (own?.startedMillis ?? 0) <= database.options.nowMillis() - graceMillis
  if (!isWinner) return []
  const taken = Object.keys(database.kinds)
    .filter((kind) => database.isMarked({ kind, id: "" }))
    .flatMap((kind) => abandoned(database, kind, leaseMillis + graceMillis).slice(0, limit))
  for (const { key } of taken) {
    const row = database.rows.get(key)
    if (row !== undefined) database.rows.set(key.kind, { ...row, active: false })
  }
  if (taken.length > 0) database.options.onCommit?.(epoch())
  return taken
}

const storageOf = (database: Database, replica: Replica.Replica["Type"]) => {
  const { epoch, leaseMillis } = replica
  const isOurs = (key: PresenceKey): boolean => {
    const mark = database.marks.get(nameOf(key))
    return mark === undefined || mark === epoch() || !database.isHeld(mark, leaseMillis)
  }
  const storage: PresenceStorage["Type"] & Required<Pick<PresenceStorage["Type"], "shared">> = {
    flush: ({ entries }) =>
      Effect.suspend(() => {
        const me = epoch()
        return database.call(() => {
          const report = together(entries.map((entry) => flushOne(database, me, leaseMillis, entry)))
          database.options.onCommit?.(me)
          return report
        })
      }).pipe(Effect.mapError((cause) => new Storage.FlushFailed({ report: Storage.emptyReport, cause }))),
    findStale: (kind, believable, limit, after) =>
      database
        .call(() => {
          const page = database.now(({ findStale }) => findStale(kind, believable, limit, after))
          return { ...page, rows: page.rows.filter(({ key }) => isOurs(key)) }
        })
        .pipe(Effect.mapError((cause) => new Storage.StorageUnreadable({ what: kind, cause }))),
    markOffline: (keys, believable) =>
      database.call(() => {
        const me = epoch()
        if (!database.isHeld(me, leaseMillis)) return []
        const changed = database.now(({ markOffline }) => markOffline(keys.filter(isOurs), believable))
        if (changed.length > 0) database.options.onCommit?.(me)
        return changed
      }),
    shared: { replica, takeOver: (limit) => database.call(() => takeOver(database, replica, limit)) }
  }
  return storage
}

/**
 * A database over `rows`. Kinds with `servedBy` carry marks; the name of the column does not matter here.
 *
 * @category constructors
 * @since 0.4.0
 */
export const make = (kinds: PresenceKinds, rows: MemoryRows, options: SimulationOptions): SimulatedReplicas => {
  const database = new Database(kinds, rows, options)
  return {
    join: (given) => Effect.map(Replica.make(storeOf(database), given), (replica) => storageOf(database, replica)),
    servedBy: (key) => database.marks.get(nameOf(key)),
    leases: database.leases,
    setAway: (isAway) => void (database.isAway = isAway)
  }
}
