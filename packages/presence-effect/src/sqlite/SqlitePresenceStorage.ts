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
import * as caseUpdate from "./internal/caseUpdate.ts"
import * as flushProgress from "./internal/flushProgress.ts"
import * as rowWrites from "./internal/rowWrites.ts"
import * as tableCheck from "./internal/tableCheck.ts"
import * as Lane from "../writer/Lane.ts"
import type { PresenceKind } from "../presence/PresenceKey.ts"
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
 * **Details**
 *
 * - The table needs an index that begins with the column `id`, or with `accountId` and `id`; a primary key is one.
 * - It should have an index on (`active`, `lastActiveAt`): without it each sweep reads the whole table, on the event
 *   loop of the reader. A warning is logged at the start.
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
 * one is a poor estimate for a big one.
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

const StaleRecord = Schema.Struct({
  id: rowWrites.Id,
  accountId: rowWrites.Id,
  stored: Schema.Unknown,
  millis: Schema.Number
})
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

/** A reader that stands in for a database has no columns, and is not checked. */
const indexesOf = (
  reader: Reader,
  kind: PresenceKind,
  names: TableOptions
): Effect.Effect<Pick<caseUpdate.TableShape, "keyIndex" | "sweepIndex">, StorageInvalid | StorageUnreadable> =>
  Effect.gen(function* () {
    const columns = yield* read(reader, names.table, ColumnRecord, tableCheck.columnsSql, [names.table])
    if (columns.length === 0) return { keyIndex: undefined, sweepIndex: undefined }
    const [missing, ...others] = tableCheck.missingColumns(kind, names, columns)
    if (missing !== undefined) return yield* invalid(missing, ...others)
    const indexes = yield* read(reader, names.table, IndexRecord, tableCheck.indexesSql, [names.table])
    const sweepIndex = tableCheck.sweepIndex(names, indexes)
    if (sweepIndex === undefined) {
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
    return { keyIndex: access._tag === "Index" ? access.name : undefined, sweepIndex }
  })

const statementsOf = (
  reader: Reader,
  kind: PresenceKind,
  names: TableOptions
): Effect.Effect<Statements, StorageInvalid | StorageUnreadable> =>
  Effect.gen(function* () {
    const indexes = yield* indexesOf(reader, kind, names)
    const [sample] = yield* read(reader, names.table, SampleRecord, caseUpdate.sampleSql(names), [])
    const detected = sample !== undefined && sample.texts > sample.numbers ? "iso" : "integer"
    const timeForm = names.timeForm === "detect" ? detected : names.timeForm
    const shape: caseUpdate.TableShape = { ...names, timeForm, ...indexes }
    const flush = caseUpdate.flushSql(shape)
    const offline = caseUpdate.offlineSql(shape)
    const stale = caseUpdate.staleRanges(shape)
    const sweeps = stale.map(
      ({ params, sql }) => [sql, params({ firstMillis: 0, lastMillis: 0 }, undefined, 1)] as const
    )
    // Prepared now, so that a table that does not fit is found at the start and not by the first tick.
    for (const [sql, params] of [[flush, [0, "[]"]] as const, [offline, ["[]", 0, 0]] as const, ...sweeps]) {
      yield* read(reader, names.table, Schema.Unknown, `EXPLAIN ${sql}`, params)
    }
    return { flush, offline, stale, table: names.table }
  })

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
        const [sessions, machines] = rowWrites.partition(keys)
        const write = Write.zip(
          rowWrites.offlineWrite(session.offline, sessions, believable),
          rowWrites.offlineWrite(machine.offline, machines, believable)
        )
        return Effect.map(writer.write(options.lane, write), ([first, second]) => [...first, ...second])
      }
    })
  })

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
      const ordered = batch.entries.length > chunkRows ? flushProgress.neighbours(batch) : batch
      const progress = flushProgress.makeProgress(ordered.entries)
      for (let chunk = progress.next(chunkRows); chunk !== undefined; chunk = progress.next(chunkRows)) {
        const entries = chunk
        const [sessions, machines] = rowWrites.partition(entries)
        // An end may be written while the chunk waits. It is no time from the future then, and must stay an end marker.
        const latest = (yield* Clock.currentTimeMillis) + WriterPolicy.termsOf(writer.policy, lane).deadlineMillis
        const write = Write.zip(
          rowWrites.flushWrite(sessionSql, sessions, latest),
          rowWrites.flushWrite(machineSql, machines, latest)
        )
        const measured = yield* writer.writeMeasured(lane, write).pipe(
          Effect.catchIf(
            (cause) => flushProgress.isRowsOwn(cause) && progress.refuse(entries, cause),
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

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options?: Partial<Options>
): Layer.Layer<PresenceStorage, StorageInvalid | StorageUnreadable, SqliteWriter | PresenceReader> =>
  Layer.effect(PresenceStorage, make(options))
