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
import * as Lane from "../writer/Lane.ts"
import type { PresenceKey, PresenceKind } from "../presence/PresenceKey.ts"
import type { BelievableTimes, StaleCursor, StalePage, StaleRow } from "../presence/PresenceStorage.ts"
import { FlushFailed, PresenceStorage, StorageUnreadable } from "../presence/PresenceStorage.ts"
import { SqliteWriter } from "../writer/SqliteWriter.ts"
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
  chunkHold: "10 millis"
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

const FlushedRow = Schema.Struct({ id: Schema.String, active: Schema.Number })
const OfflineRow = Schema.Struct({ id: Schema.String, millis: Schema.Number })
const StaleRecord = Schema.Struct({
  id: Schema.String,
  accountId: Schema.String,
  stored: Schema.Union(Schema.Number, Schema.String),
  millis: Schema.Number
})
const SampleRecord = Schema.Struct({ numbers: Schema.Number, texts: Schema.Number })
const IndexRecord = Schema.Struct({ name: Schema.String })

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

const statementsOf = (reader: Reader, names: TableOptions): Effect.Effect<Statements, StorageUnreadable> =>
  Effect.gen(function* () {
    const [sample] = yield* read(reader, names.table, SampleRecord, caseUpdate.sampleSql(names), [])
    const [index] = yield* read(reader, names.table, IndexRecord, caseUpdate.primaryIndexSql, [names.table])
    const detected = sample !== undefined && sample.texts > sample.numbers ? "iso" : "integer"
    const timeForm = names.timeForm === "detect" ? detected : names.timeForm
    const shape: caseUpdate.TableShape = { ...names, timeForm, primaryIndex: index?.name }
    return {
      flush: caseUpdate.flushSql(shape),
      offline: caseUpdate.offlineSql(shape),
      stale: caseUpdate.staleRanges(names),
      table: names.table
    }
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
        const key = byId.get(id)
        return key === undefined ? [] : [{ key, lastSeenMillis: millis }]
      })
    )
  )
}

/** Before everything of a form. */
const beginnings: { readonly [form in caseUpdate.StaleRange["form"]]: number | string } = {
  number: Number.MIN_SAFE_INTEGER,
  text: ""
}

/** A page takes what is left of a range and goes on with the next. */
const findStalePage = (
  reader: Reader,
  { stale: ranges, table }: Statements,
  kind: PresenceKind,
  { firstMillis, lastMillis }: BelievableTimes,
  limit: number,
  after: StaleCursor | undefined
): Effect.Effect<StalePage, StorageUnreadable> =>
  Effect.gen(function* () {
    const rows: Array<StaleRow> = []
    let next = after
    for (const [part, { form, side, sql }] of ranges.entries()) {
      if (part < (after?.part ?? 0)) continue
      const { id, stored } = part === after?.part ? after : { id: "", stored: beginnings[form] }
      const end = side === "before" ? firstMillis : lastMillis
      const records = yield* read(reader, table, StaleRecord, sql, [end, stored, id, end, limit - rows.length])
      for (const { accountId, id, millis } of records) {
        rows.push({ key: { kind, accountId, id }, lastSeenMillis: millis })
      }
      const last = records.at(-1)
      if (last !== undefined) next = { part, stored: last.stored, id: last.id }
      if (rows.length >= limit) return { rows, next }
    }
    return { rows, next: undefined }
  })

/**
 * **Details**
 *
 * - Reads the tables once, so they must exist.
 * - Durations are decoded once, here.
 *
 * **Errors**
 *
 * - `StorageInvalid`: an option names something that is no identifier, or a size is out of range.
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
    const session = yield* statementsOf(reader, options.session)
    const machine = yield* statementsOf(reader, options.machine)

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
        return Effect.map(writer.write(Lane.presence, write), ([first, second]) => [...first, ...second])
      }
    })
  })

/** Rows with neighbouring ids share pages. In this order a page is written with one chunk instead of with many. */
const neighbours = ({ entries }: FlushBatch.FlushBatch): FlushBatch.FlushBatch =>
  FlushBatch.make(
    entries.toSorted((a, b) => (a.kind === b.kind ? (a.id < b.id ? -1 : 1) : a.kind === "session" ? -1 : 1))
  )

/** Chunk by chunk, each a write of its own that queues anew. */
const makeFlush = (
  writer: SqliteWriter["Type"],
  sessionSql: string,
  machineSql: string,
  options: Options
): PresenceStorage["Type"]["flush"] => {
  const targetMillis = Duration.toMillis(options.chunkHold)
  let chunkRows = options.chunkRows
  return (batch, lane = Lane.presence) =>
    Effect.gen(function* () {
      const written: Array<FlushBatch.FlushEntry> = []
      const overtaken: Array<FlushBatch.FlushEntry> = []
      const missing: Array<FlushBatch.FlushEntry> = []
      let chunkCount = 0
      const ordered = batch.entries.length > chunkRows ? neighbours(batch) : batch
      for (let from = 0; from < ordered.entries.length;) {
        const { entries } = FlushBatch.slice(ordered, from, chunkRows)
        const [sessions, machines] = partition(entries)
        // An end may be written while the chunk waits. It is no time from the future then, and must stay a fence.
        const latest = (yield* Clock.currentTimeMillis) + WriterPolicy.termsOf(writer.policy, lane).deadlineMillis
        const write = Write.zip(flushWrite(sessionSql, sessions, latest), flushWrite(machineSql, machines, latest))
        const { holdMillis, value } = yield* Effect.mapError(
          writer.writeMeasured(lane, write),
          (cause) => new FlushFailed({ report: { written, overtaken, missing, chunkCount }, cause })
        )
        for (const result of value) {
          for (const entry of result.written) written.push(entry)
          for (const entry of result.overtaken) overtaken.push(entry)
          for (const entry of result.missing) missing.push(entry)
        }
        chunkCount++
        from += entries.length
        chunkRows = nextChunkRows(chunkRows, entries.length, holdMillis, targetMillis)
      }
      return { written, overtaken, missing, chunkCount }
    })
}

const partition = <K extends PresenceKey>(keys: ReadonlyArray<K>): readonly [ReadonlyArray<K>, ReadonlyArray<K>] => [
  keys.filter(({ kind }) => kind === "session"),
  keys.filter(({ kind }) => kind === "machine")
]

const emptyResult: FlushBatch.FlushResult = { written: [], overtaken: [], missing: [] }

const resultOf = (
  entries: ReadonlyArray<FlushBatch.FlushEntry>,
  rows: ReadonlyArray<typeof FlushedRow.Type>
): FlushBatch.FlushResult => {
  const activeById = new Map(rows.map((row) => [row.id, row.active !== 0]))
  const written: Array<FlushBatch.FlushEntry> = []
  const overtaken: Array<FlushBatch.FlushEntry> = []
  const missing: Array<FlushBatch.FlushEntry> = []
  for (const entry of entries) {
    const isActive = activeById.get(entry.id)
    if (isActive === undefined) missing.push(entry)
    else if (isActive === (entry.state === "alive")) written.push(entry)
    else overtaken.push(entry)
  }
  return { written, overtaken, missing }
}

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options?: Partial<Options>
): Layer.Layer<PresenceStorage, StorageInvalid | StorageUnreadable, SqliteWriter | PresenceReader> =>
  Layer.effect(PresenceStorage, make(options))
