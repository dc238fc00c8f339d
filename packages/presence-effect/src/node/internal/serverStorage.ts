/** What the storages of presence on a database server have in common. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { FlushEntry, FlushResult } from "../../presence/FlushBatch.ts"
import type { PresenceKey } from "../../presence/PresenceKey.ts"
import { keyOf, KindUndeclared, type PresenceKinds, type RowKey } from "../../presence/PresenceKind.ts"
import type {
  BelievableTimes,
  PresenceStorage,
  SharedStorage,
  StaleCursor,
  StalePage,
  StaleRow
} from "../../presence/PresenceStorage.ts"
import { StorageUnreadable } from "../../presence/PresenceStorage.ts"
import type { Replica } from "../../presence/Replica.ts"
import * as chunkedFlush from "../../sqlite/internal/chunkedFlush.ts"
import { read, type Reader } from "../../sqlite/internal/reading.ts"
import * as storageOptions from "../../sqlite/internal/storageOptions.ts"
import * as tableCheck from "../../sqlite/internal/tableCheck.ts"
import type * as tableNames from "../../sqlite/internal/tableNames.ts"
import type { Options } from "../../sqlite/SqlitePresenceStorage.ts"
import { nextChunkRows, StorageInvalid } from "../../sqlite/SqlitePresenceStorage.ts"
import * as Write from "../../writer/Write.ts"

/** Where a page of stale rows goes on: after the row with this key. */
export interface PageStart {
  readonly id: string
  readonly account: string
}

/** One statement that reads, with its parameters. */
export interface Query {
  readonly sql: string
  readonly params: ReadonlyArray<string | number>
}

/** The table of a kind, checked, with its statements. */
export interface ServerTable {
  readonly kind: string
  readonly table: string
  readonly nameOf: (key: RowKey) => string
  /** Whether the table could hold a row with this key. A key that it could not hold has no row, and is not sent. */
  readonly canHold: (key: PresenceKey) => boolean
  readonly flush: (entries: ReadonlyArray<FlushEntry>, latestMillis: number) => Write.Write<FlushResult>
  readonly offline: (
    keys: ReadonlyArray<PresenceKey>,
    believable: BelievableTimes
  ) => Write.Write<ReadonlyArray<StaleRow>>
  /** Rows of replicas that are gone, up to `limit`. Absent: its rows carry no mark. */
  readonly takeOver?: (limit: number) => Write.Write<ReadonlyArray<StaleRow>>
  readonly stale: (believable: BelievableTimes, limit: number, after: PageStart | undefined) => Query
}

/** A text that no database stores as it is: one with a NUL, or with a half of a pair of surrogates. */
export const isStorable = (text: string): boolean => text.isWellFormed() && !text.includes("\u0000")

/** The table or the columns that the database lacks, from the columns it has. `tablesSql`: the names of its tables. */
export const missingOf = (
  reader: Reader,
  kind: string,
  names: tableNames.TableNames,
  columns: ReadonlyArray<{ readonly name: string; readonly type: string }>,
  tablesSql: string
): Effect.Effect<ReadonlyArray<string>, StorageUnreadable> =>
  Effect.gen(function* () {
    if (columns.length > 0) {
      const found = columns.map(({ name, type }) => ({ name, type, pk: 0 }))
      return tableCheck.missingColumns(kind, names, found)
    }
    const found = yield* read(reader, names.table, Schema.Struct({ name: Schema.String }), tablesSql, [])
    const tables = found.length === 0 ? null : found.map(({ name }) => `"${name}"`).join(", ")
    return [tableCheck.missingTable(kind, names, { file: "", tables })]
  })

const StaleRecord = Schema.Struct({
  id: Schema.String,
  account: Schema.NullOr(Schema.String),
  millis: Schema.Number
})

const Cursor = Schema.parseJson(Schema.Struct({ id: Schema.String, account: Schema.String }))

const decoded = (cursor: StaleCursor): Effect.Effect<PageStart, StorageUnreadable> =>
  Effect.mapError(
    Schema.decode(Cursor)(cursor),
    (cause) => new StorageUnreadable({ what: "the cursor of a page", cause })
  )

const findStale = (
  reader: Reader,
  { kind, stale, table }: ServerTable,
  believable: BelievableTimes,
  limit: number,
  cursor: StaleCursor | undefined
): Effect.Effect<StalePage, StorageUnreadable> =>
  Effect.gen(function* () {
    const after = cursor === undefined ? undefined : yield* decoded(cursor)
    const { params, sql } = stale(believable, limit, after)
    const found = yield* read(reader, table, StaleRecord, sql, params)
    const rows = found.map(({ account, id, millis }) => ({
      key: keyOf(kind, account ?? undefined, id),
      lastSeenMillis: millis
    }))
    const last = found.at(-1)
    const isLast = last === undefined || found.length < limit
    return { rows, next: isLast ? undefined : JSON.stringify({ id: last.id, account: last.account ?? "" }) }
  })

const missingApart = (
  { canHold, flush }: ServerTable,
  part: ReadonlyArray<FlushEntry>,
  latestMillis: number
): Write.Write<FlushResult> => {
  const possible = part.filter(canHold)
  const write: Write.Write<FlushResult> =
    possible.length === 0
      ? Write.map(Write.empty, () => ({ written: [], superseded: [], missing: [] }))
      : flush(possible, latestMillis)
  if (possible.length === part.length) return write
  return Write.map(write, (result) => {
    const missing = new Set(result.missing)
    return { ...result, missing: part.filter((entry) => missing.has(entry) || !canHold(entry)) }
  })
}

/** The tables of the kinds, in the order in which every transaction locks them. */
const makeTables = (tables: ReadonlyArray<ServerTable>, kinds: PresenceKinds) => {
  const byKind = new Map(tables.map((table) => [table.kind, table]))
  const tableOf = (kind: string): ServerTable => {
    const table = byKind.get(kind)
    if (table === undefined) throw new KindUndeclared({ kind, declared: Object.keys(kinds) })
    return table
  }
  const writeAll = <K extends { readonly kind: string }, A>(
    keys: ReadonlyArray<K>,
    writeOne: (table: ServerTable, part: ReadonlyArray<K>) => Write.Write<A>
  ) => {
    const parts = new Map<ServerTable, Array<K>>(tables.map((table) => [table, []]))
    for (const key of keys) parts.get(tableOf(key.kind))?.push(key)
    return Write.all(Array.from(parts).flatMap(([table, part]) => (part.length === 0 ? [] : [writeOne(table, part)])))
  }
  return { tables, tableOf, writeAll }
}

/** What the storage adds when several replicas share the database. */
const sharedOf = (
  replica: Replica["Type"],
  tables: ReadonlyArray<ServerTable>,
  writer: chunkedFlush.StorageWriter,
  { lane }: Options
): SharedStorage => ({
  replica,
  takeOver: (limit) =>
    Effect.suspend(() => {
      const write = Write.all(tables.flatMap(({ takeOver }) => (takeOver === undefined ? [] : [takeOver(limit)])))
      if (write.statements.length === 0) return Effect.succeed([])
      return Effect.mapBoth(writer.write(lane, write), {
        onFailure: chunkedFlush.failed,
        onSuccess: (taken) => taken.flat()
      })
    })
})

/** The storage over tables that `open` checks one by one: problems of a table as texts, or what it is. */
export const make = <E>(
  options: Options,
  writer: chunkedFlush.StorageWriter,
  reader: Reader,
  open: (kind: string) => Effect.Effect<ServerTable | ReadonlyArray<string>, E>,
  replica?: Replica["Type"]
): Effect.Effect<PresenceStorage["Type"], E | StorageInvalid> =>
  Effect.gen(function* () {
    const [problem, ...others] = storageOptions.problems(options, writer.policy)
    if (problem !== undefined) return yield* new StorageInvalid({ problems: [problem, ...others] })
    const opened: Array<ServerTable> = []
    for (const kind of Object.keys(options.kinds)) {
      const table = yield* open(kind)
      if ("kind" in table) {
        opened.push(table)
        continue
      }
      const [unfit = `${kind} cannot be used`, ...more] = table
      return yield* new StorageInvalid({ problems: [unfit, ...more] })
    }
    const tables = makeTables(opened, options.kinds)
    return {
      flush: chunkedFlush.make(writer, tables, missingApart, options, nextChunkRows),
      findStale: (kind, believable, limit, after) =>
        Effect.suspend(() => findStale(reader, tables.tableOf(kind), believable, limit, after)),
      markOffline: (keys, believable) =>
        Effect.suspend(() => {
          const write = tables.writeAll(keys, (table, part) => {
            const possible = part.filter(table.canHold)
            return possible.length === 0 ? Write.map(Write.empty, () => []) : table.offline(possible, believable)
          })
          if (write.statements.length === 0) return Effect.succeed([])
          return Effect.mapBoth(writer.write(options.lane, write), {
            onFailure: chunkedFlush.failed,
            onSuccess: (changed) => changed.flat()
          })
        }),
      ...(replica === undefined ? {} : { shared: sharedOf(replica, opened, writer, options) })
    }
  })
