/**
 * Presence in SQLite: one CASE-UPDATE per table and chunk.
 *
 * @since 0.1.0
 */
import * as SqlClient from "@effect/sql/SqlClient"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as FlushBatch from "../presence/FlushBatch.ts"
import * as caseUpdate from "./internal/caseUpdate.ts"
import * as tableCheck from "./internal/tableCheck.ts"
import * as Lane from "../writer/Lane.ts"
import type { PresenceKey, PresenceKind } from "../presence/PresenceKey.ts"
import type {
  BelievableTimes,
  FlushReport,
  RefusedEntry,
  StaleCursor,
  StalePage,
  StaleRow
} from "../presence/PresenceStorage.ts"
import { FlushFailed, PresenceStorage, StorageUnreadable } from "../presence/PresenceStorage.ts"
import { SqliteWriter } from "../writer/SqliteWriter.ts"
import type { WriterError } from "../writer/WriterError.ts"
import * as Write from "../writer/Write.ts"
import * as WriterPolicy from "../writer/WriterPolicy.ts"

/**
 * The read side: any client of the same file that only reads. It never waits
 * for the permit.
 *
 * @category services
 * @since 0.1.0
 */
export class PresenceReader extends Context.Tag("presence-effect/PresenceReader")<
  PresenceReader,
  {
    /** Rows of one statement with positional parameters. */
    readonly query: (
      sql: string,
      params: ReadonlyArray<string | number>
    ) => Effect.Effect<ReadonlyArray<unknown>, unknown>
  }
>() {}

/**
 * Reads through an `@effect/sql` client. Give it a client of its own, opened
 * with `readonly` after the migrations: a statement that failed to prepare stays
 * failed in that client's cache.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerReader: Layer.Layer<PresenceReader, never, SqlClient.SqlClient> = Layer.effect(
  PresenceReader,
  Effect.map(SqlClient.SqlClient, (sql) => PresenceReader.of({ query: (text, params) => sql.unsafe(text, params) }))
)

/**
 * Names of a table and its columns: letters, digits and `_`.
 *
 * **Details**
 *
 * - The table needs an index that begins with the column `id`, or with `accountId` and `id`; a primary key is one.
 * - It should have an index on (`active`, `lastActiveAt`): without it each sweep reads the whole table, on the event
 *   loop of the reader. A warning says so at the start.
 * - `id` may hold texts or whole numbers.
 *
 * @category models
 * @since 0.1.0
 */
export interface TableOptions {
  readonly table: string
  readonly id: string
  readonly accountId: string
  readonly active: string
  readonly lastActiveAt: string
  /** How times are written. `detect` looks at the rows when the layer is built; an empty table means `integer`. */
  readonly timeForm: "integer" | "iso" | "detect"
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly session: TableOptions
  readonly machine: TableOptions
  /** Rows of the first chunk, over both tables. It adapts between 50 and 2 000. */
  readonly chunkRows: number
  /** How long one chunk may hold the writer. */
  readonly chunkHold: Duration.DurationInput
  /** Lane of a flush that names none, and of the sweep. */
  readonly lane: Lane.Lane
  /** Lane that single rows are flushed in when they end. Only checked here. */
  readonly endLane: Lane.Lane
}

const tableDefaults = (table: string): TableOptions => ({
  table,
  id: "id",
  accountId: "accountId",
  active: "active",
  lastActiveAt: "lastActiveAt",
  timeForm: "detect"
})

/**
 * Tables `Session` and `Machine` with the columns `id`, `accountId`, `active`
 * and `lastActiveAt`. 250 rows hold the writer for about 3 ms on a small box.
 *
 * @category presets
 * @since 0.1.0
 */
export const defaults: Options = {
  session: tableDefaults("Session"),
  machine: tableDefaults("Machine"),
  chunkRows: 250,
  chunkHold: "10 millis",
  lane: Lane.presence,
  endLane: Lane.control
}

/**
 * Options that cannot be used. The message names the option.
 *
 * @category errors
 * @since 0.1.0
 */
export class StorageInvalid extends Schema.TaggedError<StorageInvalid>("presence-effect/StorageInvalid")(
  "StorageInvalid",
  { problems: Schema.NonEmptyArray(Schema.String) }
) {
  /** @since 0.1.0 */
  override get message(): string {
    return `invalid presence storage:\n${this.problems.map((problem) => `- ${problem}`).join("\n")}`
  }
}

const chunkRowsMin = 50
const chunkRowsMax = 2_000

/**
 * The size of the next chunk after one of `rowCount` rows held the writer for
 * `holdMillis`. It goes half the way to what would have met the target, at most
 * to the double or the half of `size`, and grows only after a full chunk: a small
 * one says little about a big one.
 *
 * @category getters
 * @since 0.1.0
 */
export const nextChunkRows = (size: number, rowCount: number, holdMillis: number, targetMillis: number): number => {
  const fit = holdMillis <= 0 ? size * 2 : (rowCount * targetMillis) / holdMillis
  if (fit > size && rowCount < size) return size
  const next = Math.round((size + Math.min(size * 2, Math.max(size / 2, fit))) / 2)
  return Math.min(chunkRowsMax, Math.max(chunkRowsMin, next))
}

/** An id as a text, also of a column that holds whole numbers. */
const Id = Schema.Union(Schema.String, Schema.Number, Schema.BigIntFromSelf)
// Without `millis` for engines that only stand in for one.
const FlushedRow = Schema.Struct({ id: Id, active: Schema.Number, millis: Schema.optional(Schema.Number) })
const OfflineRow = Schema.Struct({ id: Id, millis: Schema.Number })
const StaleRecord = Schema.Struct({ id: Id, accountId: Id, stored: Schema.Unknown, millis: Schema.Number })
const SampleRecord = Schema.Struct({ numbers: Schema.Number, texts: Schema.Number })
const ColumnRecord = Schema.Struct({ name: Schema.String, type: Schema.String, pk: Schema.Number })
const IndexRecord = Schema.Struct({
  index: Schema.String,
  origin: Schema.String,
  isUnique: Schema.Number,
  isPartial: Schema.Number,
  column: Schema.NullOr(Schema.String)
})

const problemsOf = (options: Options): ReadonlyArray<string> => {
  const problems: Array<string> = []
  for (const kind of ["session", "machine"] as const) {
    for (const name of ["table", "id", "accountId", "active", "lastActiveAt"] as const) {
      const value = options[kind][name]
      if (!caseUpdate.isIdentifier(value)) {
        problems.push(`${kind}.${name} must be a name of letters, digits and _, got ${JSON.stringify(value)}`)
      }
    }
  }
  if (!Number.isSafeInteger(options.chunkRows) || options.chunkRows < 1) {
    problems.push(`chunkRows must be a whole number of at least 1, got ${options.chunkRows}`)
  }
  if (!(Duration.toMillis(options.chunkHold) > 0)) problems.push("chunkHold must be above zero")
  return problems
}

type Reader = PresenceReader["Type"]

const read = <A, I>(
  reader: Reader,
  what: string,
  row: Schema.Schema<A, I>,
  sql: string,
  params: ReadonlyArray<string | number>
): Effect.Effect<ReadonlyArray<A>, StorageUnreadable> =>
  reader.query(sql, params).pipe(
    Effect.flatMap(Schema.decodeUnknown(Schema.Array(row))),
    Effect.mapError((cause) => new StorageUnreadable({ what, cause }))
  )

/** The constant texts of one table. */
interface Statements {
  readonly flush: string
  readonly offline: string
  readonly stale: ReadonlyArray<caseUpdate.StaleRange>
  readonly table: string
}

const invalid = (problem: string, ...others: ReadonlyArray<string>) =>
  new StorageInvalid({ problems: [problem, ...others] })

/** Which index finds a row by its key. A reader that stands in for a database has no columns, and is not checked. */
const keyIndexOf = (
  reader: Reader,
  kind: PresenceKind,
  names: TableOptions
): Effect.Effect<string | undefined, StorageInvalid | StorageUnreadable> =>
  Effect.gen(function* () {
    const columns = yield* read(reader, names.table, ColumnRecord, tableCheck.columnsSql, [names.table])
    if (columns.length === 0) return undefined
    const [missing, ...others] = tableCheck.missingColumns(kind, names, columns)
    if (missing !== undefined) return yield* invalid(missing, ...others)
    const indexes = yield* read(reader, names.table, IndexRecord, tableCheck.indexesSql, [names.table])
    if (!tableCheck.hasSweepIndex(names, indexes)) {
      yield* Effect.logWarning(
        `no index on ("${names.active}", "${names.lastActiveAt}") of "${names.table}": each sweep reads the whole table`
      ).pipe(Effect.annotateLogs("code", "PresenceIndexMissing"))
    }
    const access = tableCheck.keyAccess(names, columns, indexes)
    if (access._tag === "None") {
      return yield* invalid(
        `${kind}.id: no index of "${names.table}" begins with "${names.id}", or with "${names.accountId}" and ` +
          `"${names.id}", so each row of a flush would read the whole table: CREATE INDEX … ON ` +
          `"${names.table}"("${names.id}")`
      )
    }
    return access._tag === "Index" ? access.name : undefined
  })

const statementsOf = (
  reader: Reader,
  kind: PresenceKind,
  names: TableOptions
): Effect.Effect<Statements, StorageInvalid | StorageUnreadable> =>
  Effect.gen(function* () {
    const keyIndex = yield* keyIndexOf(reader, kind, names)
    const [sample] = yield* read(reader, names.table, SampleRecord, caseUpdate.sampleSql(names), [])
    const detected = sample !== undefined && sample.texts > sample.numbers ? "iso" : "integer"
    const timeForm = names.timeForm === "detect" ? detected : names.timeForm
    const shape: caseUpdate.TableShape = { ...names, timeForm, keyIndex }
    const flush = caseUpdate.flushSql(shape)
    const offline = caseUpdate.offlineSql(shape)
    // Prepared now, so that a table that does not fit is found at the start and not by the first tick.
    for (const [sql, params] of [[flush, [0, "[]"]] as const, [offline, ["[]", 0, 0]] as const]) {
      yield* read(reader, names.table, Schema.Unknown, `EXPLAIN ${sql}`, params)
    }
    return { flush, offline, stale: caseUpdate.staleRanges(names), table: names.table }
  })

/** No statement when there are no entries. */
const flushWrite = (sql: string, entries: ReadonlyArray<FlushBatch.FlushEntry>, latestMillis: number) =>
  entries.length === 0
    ? Write.map(Write.empty, () => emptyResult)
    : Write.statement(sql, [latestMillis, caseUpdate.flushJson(entries)], { isAtomic: true }).pipe(
        Write.decodeRows(FlushedRow),
        Write.map((rows) => resultOf(entries, rows))
      )

const offlineWrite = (sql: string, keys: ReadonlyArray<PresenceKey>, { firstMillis, lastMillis }: BelievableTimes) => {
  if (keys.length === 0) return Write.map(Write.empty, (): ReadonlyArray<StaleRow> => [])
  const byId = new Map(keys.map((key) => [key.id, key]))
  return Write.statement(sql, [caseUpdate.keysJson(keys), firstMillis, lastMillis]).pipe(
    Write.decodeRows(OfflineRow),
    Write.map((rows) =>
      rows.flatMap(({ id, millis }): ReadonlyArray<StaleRow> => {
        const key = byId.get(String(id))
        return key === undefined ? [] : [{ key, lastSeenMillis: millis }]
      })
    )
  )
}

/** A page takes what is left of a range and goes on with the next. */
const findStalePage = (
  reader: Reader,
  { stale: ranges, table }: Statements,
  kind: PresenceKind,
  believable: BelievableTimes,
  limit: number,
  after: StaleCursor | undefined
): Effect.Effect<StalePage, StorageUnreadable> =>
  Effect.gen(function* () {
    const rows: Array<StaleRow> = []
    let next = after
    for (const [part, { params, sql }] of ranges.entries()) {
      if (part < (after?.part ?? 0)) continue
      const start = part === after?.part ? after : undefined
      const found = yield* read(reader, table, StaleRecord, sql, params(believable, start, limit - rows.length))
      for (const { accountId, id, millis } of found) {
        rows.push({ key: { kind, accountId: String(accountId), id: String(id) }, lastSeenMillis: millis })
      }
      const last = found.at(-1)
      if (last !== undefined) {
        const { stored } = last
        next = {
          part,
          stored: typeof stored === "number" || typeof stored === "string" ? stored : 0,
          id: String(last.id)
        }
      }
      if (rows.length >= limit) return { rows, next }
    }
    return { rows, next: undefined }
  })

/**
 * **Details**
 *
 * - Reads the tables once, so they must exist: their columns, their indexes and the form of their times.
 * - Durations are decoded once, here.
 *
 * **Errors**
 *
 * - `StorageInvalid`: an option names something that is no identifier, a column that the table does not have, a table
 *   without an index on its key, or a lane that the policy does not have; or a size is out of range.
 * - `StorageUnreadable`: the tables could not be read.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  given: Partial<Options> = {}
): Effect.Effect<PresenceStorage["Type"], StorageInvalid | StorageUnreadable, SqliteWriter | PresenceReader> =>
  Effect.gen(function* () {
    const options: Options = { ...defaults, ...given }
    const [problem, ...others] = problemsOf(options)
    if (problem !== undefined) return yield* new StorageInvalid({ problems: [problem, ...others] })
    const writer = yield* SqliteWriter
    const reader = yield* PresenceReader
    const unknown = (["lane", "endLane"] as const).flatMap((option) =>
      writer.policy.lanes.some(({ lane }) => lane === options[option])
        ? []
        : [
            `${option}: the policy of the writer has no lane ${options[option]}, only ` +
              writer.policy.lanes.map(({ lane }) => lane).join(", ")
          ]
    )
    const [unknownLane, ...unknownLanes] = unknown
    if (unknownLane !== undefined) return yield* invalid(unknownLane, ...unknownLanes)
    const session = yield* statementsOf(reader, "session", options.session)
    const machine = yield* statementsOf(reader, "machine", options.machine)

    return PresenceStorage.of({
      flush: makeFlush(writer, session.flush, machine.flush, options),
      findStale: (kind, believable, limit, after) =>
        findStalePage(reader, kind === "session" ? session : machine, kind, believable, limit, after),
      markOffline: (keys, believable) => {
        if (keys.length === 0) return Effect.succeed([])
        const [sessions, machines] = partition(keys)
        const write = Write.zip(
          offlineWrite(session.offline, sessions, believable),
          offlineWrite(machine.offline, machines, believable)
        )
        return Effect.map(writer.write(options.lane, write), ([first, second]) => [...first, ...second])
      }
    })
  })

/** Rows with neighbouring ids share pages. In this order a page is written with one chunk instead of with many. */
const neighbours = ({ entries }: FlushBatch.FlushBatch): FlushBatch.FlushBatch =>
  FlushBatch.make(
    entries.toSorted((a, b) => (a.kind === b.kind ? (a.id < b.id ? -1 : 1) : a.kind === "session" ? -1 : 1))
  )

/** A write that fails for these fails by what is in it: without that row the others can be written. */
const isRowsOwn = ({ _tag }: WriterError): boolean => _tag === "WriteRejected" || _tag === "WriteConflict"

/** More refused rows than this in one flush, and it is the table that refuses. */
const refusedMax = 32

/** What is left to write, as chunks, and what became of the rest. */
const makeProgress = (entries: ReadonlyArray<FlushBatch.FlushEntry>) => {
  const written: Array<FlushBatch.StoredEntry> = []
  const superseded: Array<FlushBatch.StoredEntry> = []
  const missing: Array<FlushBatch.FlushEntry> = []
  const refused: Array<RefusedEntry> = []
  /** Parts of a chunk that was refused as a whole, the next one last. */
  const parts: Array<ReadonlyArray<FlushBatch.FlushEntry>> = []
  let chunkCount = 0
  let from = 0
  return {
    next: (chunkRows: number): ReadonlyArray<FlushBatch.FlushEntry> | undefined => {
      const part = parts.pop()
      if (part !== undefined) return part
      if (from >= entries.length) return undefined
      const chunk = entries.slice(from, from + chunkRows)
      from += chunk.length
      return chunk
    },
    committed: (results: ReadonlyArray<FlushBatch.FlushResult>): void => {
      chunkCount++
      for (const result of results) {
        for (const entry of result.written) written.push(entry)
        for (const entry of result.superseded) superseded.push(entry)
        for (const entry of result.missing) missing.push(entry)
      }
    },
    /** Halves the chunk until the row is alone. Answers whether the flush can go on. */
    refuse: (chunk: ReadonlyArray<FlushBatch.FlushEntry>, cause: WriterError): boolean => {
      const [first] = chunk
      if (chunk.length > 1) {
        const half = Math.ceil(chunk.length / 2)
        parts.push(chunk.slice(half), chunk.slice(0, half))
      } else if (first !== undefined) {
        refused.push({ ...first, cause })
      }
      return refused.length <= refusedMax
    },
    report: (): FlushReport =>
      refused.length === 0 || refused.length > refusedMax
        ? { written, superseded, missing, chunkCount }
        : { written, superseded, missing, chunkCount, refused }
  }
}

/** Chunk by chunk, each a write of its own that queues anew. */
const makeFlush = (
  writer: SqliteWriter["Type"],
  sessionSql: string,
  machineSql: string,
  options: Options
): PresenceStorage["Type"]["flush"] => {
  const targetMillis = Duration.toMillis(options.chunkHold)
  let chunkRows = options.chunkRows
  return (batch, lane = options.lane) =>
    Effect.gen(function* () {
      const ordered = batch.entries.length > chunkRows ? neighbours(batch) : batch
      const progress = makeProgress(ordered.entries)
      for (let chunk = progress.next(chunkRows); chunk !== undefined; chunk = progress.next(chunkRows)) {
        const entries = chunk
        const [sessions, machines] = partition(entries)
        // An end may be written while the chunk waits. It is no time from the future then, and must stay an end marker.
        const latest = (yield* Clock.currentTimeMillis) + WriterPolicy.termsOf(writer.policy, lane).deadlineMillis
        const write = Write.zip(flushWrite(sessionSql, sessions, latest), flushWrite(machineSql, machines, latest))
        const measured = yield* writer.writeMeasured(lane, write).pipe(
          Effect.catchIf(
            (cause) => isRowsOwn(cause) && progress.refuse(entries, cause),
            () => Effect.succeed(undefined)
          ),
          Effect.mapError((cause) => new FlushFailed({ report: progress.report(), cause }))
        )
        if (measured === undefined) continue
        progress.committed(measured.value)
        chunkRows = nextChunkRows(chunkRows, entries.length, measured.holdMillis, targetMillis)
      }
      return progress.report()
    })
}

const partition = <K extends PresenceKey>(keys: ReadonlyArray<K>): readonly [ReadonlyArray<K>, ReadonlyArray<K>] => [
  keys.filter(({ kind }) => kind === "session"),
  keys.filter(({ kind }) => kind === "machine")
]

const emptyResult: FlushBatch.FlushResult = { written: [], superseded: [], missing: [] }

const resultOf = (
  entries: ReadonlyArray<FlushBatch.FlushEntry>,
  rows: ReadonlyArray<typeof FlushedRow.Type>
): FlushBatch.FlushResult => {
  const byId = new Map(rows.map((row) => [String(row.id), row]))
  const written: Array<FlushBatch.StoredEntry> = []
  const superseded: Array<FlushBatch.StoredEntry> = []
  const missing: Array<FlushBatch.FlushEntry> = []
  for (const entry of entries) {
    const row = byId.get(entry.id)
    if (row === undefined) {
      missing.push(entry)
      continue
    }
    const { active, millis = entry.seenAtMillis } = row
    const stored = millis > entry.seenAtMillis ? { ...entry, storedMillis: millis } : entry
    if ((active !== 0) === (entry.state === "alive")) written.push(stored)
    else superseded.push(stored)
  }
  return { written, superseded, missing }
}

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options?: Partial<Options>
): Layer.Layer<PresenceStorage, StorageInvalid | StorageUnreadable, SqliteWriter | PresenceReader> =>
  Layer.effect(PresenceStorage, make(options))
