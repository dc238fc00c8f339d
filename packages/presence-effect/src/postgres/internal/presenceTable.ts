/** The table of one kind in PostgreSQL: what the catalog says of it, and its statements. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { ServerTable } from "../../node/internal/serverStorage.ts"
import { entriesJson, keysJson, resultOf } from "../../node/internal/serverRows.ts"
import { isStorable, missingOf } from "../../node/internal/serverStorage.ts"
import type { FlushEntry, FlushResult } from "../../presence/FlushBatch.ts"
import type { PresenceKey } from "../../presence/PresenceKey.ts"
import { keyOf, type PresenceKind, rowNameOf } from "../../presence/PresenceKind.ts"
import type { Replica } from "../../presence/Replica.ts"
import type { BelievableTimes, StaleRow, StorageUnreadable } from "../../presence/PresenceStorage.ts"
import { read, type Reader } from "../../sqlite/internal/reading.ts"
import * as tableCheck from "../../sqlite/internal/tableCheck.ts"
import { quote, type TableNames, tableNames } from "../../sqlite/internal/tableNames.ts"
import * as Write from "../../writer/Write.ts"
import * as leaseSql from "./leaseSql.ts"
import * as presenceSql from "./presenceSql.ts"

const ColumnRecord = Schema.Struct({ name: Schema.String, type: Schema.String })
const IndexRecord = Schema.Struct({
  index: Schema.String,
  isUnique: Schema.Number,
  isPartial: Schema.Number,
  column: Schema.NullOr(Schema.String)
})

/** A column of the table, a domain by what it is made of. Parameter: the table, quoted. */
const columnsSql = `SELECT a.attname::text AS name,
  (CASE WHEN t.typbasetype = 0 THEN t.oid ELSE t.typbasetype END)::regtype::text AS type
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum`

/** A column of an index of the table, in the order of the index. Parameter: the table, quoted. */
const indexesSql = `SELECT c.relname::text AS index, i.indisunique::int AS "isUnique",
  (i.indpred IS NOT NULL)::int AS "isPartial", a.attname::text AS column
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, position)
LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.attnum > 0
WHERE i.indrelid = to_regclass($1) AND i.indisvalid AND k.position <= i.indnkeyatts
ORDER BY c.relname, k.position`

const tablesSql = `SELECT c.relname::text AS name FROM pg_class c
WHERE c.relkind IN ('r', 'p') AND pg_table_is_visible(c.oid) AND c.relnamespace <> 'pg_catalog'::regnamespace
ORDER BY c.relname LIMIT 50`

const keyTypes: { readonly [type: string]: presenceSql.KeyType } = {
  text: "text",
  "character varying": "text",
  smallint: "integer",
  integer: "integer",
  bigint: "integer",
  uuid: "uuid"
}

const activeTypes: { readonly [type: string]: presenceSql.TableShape["activeType"] } = {
  boolean: "boolean",
  smallint: "integer",
  integer: "integer",
  bigint: "integer"
}

const timeTypes: { readonly [type: string]: presenceSql.TimeType } = {
  bigint: "millis",
  numeric: "millis",
  "double precision": "millis",
  "timestamp without time zone": "timestamp",
  "timestamp with time zone": "timestamptz"
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const integer = /^(0|-?[1-9][0-9]{0,17})$/

/** The text that a value of the column is written as, and no other. */
const isValueOf: { readonly [T in presenceSql.KeyType]: (text: string) => boolean } = {
  text: isStorable,
  integer: (text) => integer.test(text),
  uuid: (text) => uuid.test(text)
}

type Columns = ReadonlyArray<typeof ColumnRecord.Type>

const wantedTypes = {
  key: "text, varchar, uuid or whole numbers",
  active: "boolean or whole numbers",
  time: "bigint with epoch milliseconds, or a timestamp",
  mark: "text or varchar"
}

const markTypes: { readonly [type: string]: true } = { text: true, "character varying": true }

/** The shape, or what does not fit. */
const shapeOf = (
  kind: string,
  names: TableNames,
  columns: Columns,
  replica: Replica["Type"] | undefined
): presenceSql.TableShape | ReadonlyArray<string> => {
  const problems: Array<string> = []
  const typeOf = <T>(option: string, column: string, types: { readonly [type: string]: T }, wanted: string) => {
    const type = columns.find(({ name }) => name === column)?.type ?? ""
    const found = types[type]
    if (found === undefined) {
      problems.push(`${kind}.${option}: the column "${column}" of "${names.table}" is ${type}; ${wanted} are needed`)
    }
    return found
  }
  const idType = typeOf("id", names.id, keyTypes, wantedTypes.key)
  const { accountId } = names
  const accountType = accountId === undefined ? "text" : typeOf("accountId", accountId, keyTypes, wantedTypes.key)
  const activeType = typeOf("active", names.active, activeTypes, wantedTypes.active)
  const timeType = typeOf("lastActiveAt", names.lastActiveAt, timeTypes, wantedTypes.time)
  if (names.servedBy !== undefined) typeOf("servedBy", names.servedBy, markTypes, wantedTypes.mark)
  if (names.servedBy !== undefined && replica === undefined) {
    problems.push(`${kind}.servedBy: rows are marked, so the storage needs a Replica: provide PostgresReplica.layer`)
  }
  if (problems.length > 0) return problems
  if (idType === undefined || accountType === undefined || activeType === undefined || timeType === undefined) {
    return problems
  }
  return { ...names, idType, accountType, activeType, timeType }
}

const FlushedRecord = Schema.Struct({
  n: Schema.Number,
  active: Schema.Number,
  millis: Schema.Number,
  deferred: Schema.Number,
  elsewhere: Schema.Number,
  was: Schema.optional(Schema.Number)
})
const TakenRecord = Schema.Struct({ id: Schema.String, account: Schema.NullOr(Schema.String), millis: Schema.Number })
const OfflineRecord = Schema.Struct({ n: Schema.Number, millis: Schema.Number })

/** The parameters of a statement that looks at the marks of rows. */
type Marks = () => ReadonlyArray<string | number>

const flushWith =
  (sql: string, marks: Marks) =>
  (entries: ReadonlyArray<FlushEntry>, latestMillis: number): Write.Write<FlushResult> => {
    const json = entriesJson(entries)
    return Write.statement(sql, [latestMillis, json, ...marks()], { isAtomic: true }).pipe(
      Write.decodeRows(FlushedRecord),
      Write.map((rows) =>
        resultOf(
          entries,
          rows,
          ({ deferred }) => deferred === 1,
          ({ elsewhere }) => elsewhere === 1
        )
      )
    )
  }

const offlineWith =
  (sql: string, marks: Marks) =>
  (keys: ReadonlyArray<PresenceKey>, believable: BelievableTimes): Write.Write<ReadonlyArray<StaleRow>> => {
    const json = keysJson(keys)
    const { firstMillis, lastMillis } = believable
    return Write.statement(sql, [json, firstMillis, lastMillis, ...marks()]).pipe(
      Write.decodeRows(OfflineRecord),
      Write.map((rows) =>
        rows
          .toSorted((a, b) => a.n - b.n)
          .flatMap(({ millis, n }) => {
            const key = keys[n]
            return key === undefined ? [] : [{ key: plainKey(key), lastSeenMillis: millis }]
          })
      )
    )
  }

const takeOverWith =
  (kind: string, sql: string, { epoch, graceMillis, leaseMillis }: Replica["Type"]) =>
  (limit: number): Write.Write<ReadonlyArray<StaleRow>> =>
    Write.statement(sql, [epoch(), leaseMillis, graceMillis, limit]).pipe(
      Write.decodeRows(TakenRecord),
      Write.zip(Write.statement(leaseSql.remove, [leaseMillis + graceMillis])),
      Write.map(([rows]) =>
        rows.map(({ account, id, millis }) => ({ key: keyOf(kind, account ?? undefined, id), lastSeenMillis: millis }))
      )
    )

/** The key alone: an entry of a flush is a key too. */
const plainKey = ({ accountId, id, kind }: PresenceKey): PresenceKey =>
  accountId === undefined ? { kind, id } : { kind, accountId, id }

const warnOfSweep = (names: TableNames, indexes: ReadonlyArray<typeof IndexRecord.Type>): Effect.Effect<void> => {
  const isSwept = indexes.some(({ column, isPartial }) => isPartial === 1 || column === names.active)
  if (isSwept) return Effect.void
  const index = `CREATE INDEX … ON ${quote(names.table)} (${quote(names.id)}) WHERE ${quote(names.active)}`
  return Effect.logWarning(
    `no index finds the active rows of "${names.table}": each sweep reads the whole table. ${index}`
  ).pipe(Effect.annotateLogs("code", "PresenceIndexMissing"))
}

/** The table with its statements, prepared once, or what does not fit. */
export const open = (
  reader: Reader,
  kind: string,
  declared: PresenceKind,
  replica: Replica["Type"] | undefined
): Effect.Effect<ServerTable | ReadonlyArray<string>, StorageUnreadable> =>
  Effect.gen(function* () {
    const names = tableNames(kind, declared)
    const quoted = quote(names.table)
    const columns = yield* read(reader, names.table, ColumnRecord, columnsSql, [quoted])
    const missing = yield* missingOf(reader, kind, names, columns, tablesSql)
    if (missing.length > 0) return missing
    const shape = shapeOf(kind, names, columns, replica)
    if (!("table" in shape)) return shape
    const indexes = yield* read(reader, names.table, IndexRecord, indexesSql, [quoted])
    const access = tableCheck.keyAccess(
      kind,
      names,
      [],
      indexes.map((index) => ({ ...index, origin: "c", collation: "" }))
    )
    if (access._tag === "None") return [access.problem]
    yield* warnOfSweep(names, indexes)
    const [flush, offline] = [presenceSql.flushSql(shape), presenceSql.offlineSql(shape)]
    const takeOver = presenceSql.takeOverSql(shape)
    const marks: Marks = () =>
      takeOver === undefined || replica === undefined ? [] : [replica.epoch(), replica.leaseMillis]
    const [first, later] = [presenceSql.staleSql(shape, true), presenceSql.staleSql(shape, false)]
    // Planned now, so that a table that does not fit is found at the start and not by the first tick.
    yield* read(reader, names.table, Schema.Unknown, `EXPLAIN ${flush}`, [0, "[]", ...marks()])
    yield* read(reader, names.table, Schema.Unknown, `EXPLAIN ${offline}`, ["[]", 0, 0, ...marks()])
    const { accountType, idType } = shape
    return {
      kind,
      table: names.table,
      nameOf: rowNameOf(declared),
      canHold: ({ accountId, id }) =>
        isValueOf[idType](id) && (accountId === undefined || isValueOf[accountType](accountId)),
      flush: flushWith(flush, marks),
      offline: offlineWith(offline, marks),
      ...(takeOver === undefined || replica === undefined ? {} : { takeOver: takeOverWith(kind, takeOver, replica) }),
      stale: ({ firstMillis, lastMillis }, limit, after) => {
        const params = [firstMillis, lastMillis, limit, ...marks()]
        if (after === undefined) return { sql: first, params }
        const start = names.isKeyedByAccount ? [after.id, after.account] : [after.id]
        return { sql: later, params: [...params, ...start] }
      }
    }
  })
