/** The table of one kind in MySQL or MariaDB: what its catalog says of it, and its statements. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { ServerTable } from "../../node/internal/serverStorage.ts"
import { entriesJson, keysJson, resultOf } from "../../node/internal/serverRows.ts"
import { isStorable, missingOf } from "../../node/internal/serverStorage.ts"
import type { FlushEntry, FlushResult } from "../../presence/FlushBatch.ts"
import type { PresenceKey } from "../../presence/PresenceKey.ts"
import { keyOf, type PresenceKind, rowNameOf } from "../../presence/PresenceKind.ts"
import type { BelievableTimes, StaleRow, StorageUnreadable } from "../../presence/PresenceStorage.ts"
import { read, type Reader } from "../../sqlite/internal/reading.ts"
import * as tableCheck from "../../sqlite/internal/tableCheck.ts"
import { type TableNames, tableNames } from "../../sqlite/internal/tableNames.ts"
import * as Write from "../../writer/Write.ts"
import * as presenceSql from "./presenceSql.ts"

const ColumnRecord = Schema.Struct({
  name: Schema.String,
  type: Schema.String,
  charset: Schema.NullOr(Schema.String),
  collation: Schema.NullOr(Schema.String),
  length: Schema.NullOr(Schema.Number)
})
const IndexRecord = Schema.Struct({
  index: Schema.String,
  isUnique: Schema.Number,
  column: Schema.NullOr(Schema.String)
})

/** Parameter: the table. */
const columnsSql = `SELECT column_name AS name, data_type AS type, character_set_name AS charset,
  collation_name AS collation, character_maximum_length AS length
FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ? ORDER BY ordinal_position`

/** A column of an index of the table, in the order of the index. Parameter: the table. */
const indexesSql = `SELECT index_name AS \`index\`, CASE WHEN non_unique = 0 THEN 1 ELSE 0 END AS isUnique,
  column_name AS \`column\`
FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = ?
ORDER BY index_name, seq_in_index`

const tablesSql = `SELECT table_name AS name FROM information_schema.tables
WHERE table_schema = DATABASE() ORDER BY table_name LIMIT 50`

const isText = /^(char|varchar|tinytext|text|mediumtext|longtext)$/
const isInteger = /^(tinyint|smallint|mediumint|int|bigint)$/
const timeTypes: { readonly [type: string]: presenceSql.TimeType } = {
  bigint: "millis",
  decimal: "millis",
  double: "millis",
  datetime: "datetime",
  timestamp: "datetime"
}

type Column = typeof ColumnRecord.Type

const keyTypeOf = ({ charset, collation, length, type }: Column): presenceSql.KeyType | undefined => {
  if (isInteger.test(type)) return { _tag: "Integer" }
  if (!isText.test(type) || charset === null || collation === null) return undefined
  return { _tag: "Text", charset, collation, length: Math.min(length ?? 0, presenceSql.keyLengthMax) }
}

/** The shape, or what does not fit. */
const shapeOf = (
  kind: string,
  names: TableNames,
  columns: ReadonlyArray<Column>
): Omit<presenceSql.TableShape, "keyIndex"> | ReadonlyArray<string> => {
  const problems: Array<string> = []
  const typeOf = <T>(option: string, column: string, typed: (column: Column) => T | undefined, wanted: string) => {
    const found = columns.find(({ name }) => name.toLowerCase() === column.toLowerCase())
    const type = found === undefined ? undefined : typed(found)
    if (type === undefined) {
      problems.push(
        `${kind}.${option}: the column "${column}" of "${names.table}" is ${found?.type}; ${wanted} are needed`
      )
    }
    return type
  }
  const keys = "varchar, text or whole numbers"
  const idType = typeOf("id", names.id, keyTypeOf, keys)
  const accountType: presenceSql.KeyType | undefined =
    names.accountId === undefined ? { _tag: "Integer" } : typeOf("accountId", names.accountId, keyTypeOf, keys)
  const integer = ({ type }: Column) => isInteger.test(type) || undefined
  const isActive = typeOf("active", names.active, integer, "boolean or whole numbers")
  const time = "bigint with epoch milliseconds, or a datetime"
  const timeType = typeOf("lastActiveAt", names.lastActiveAt, ({ type }) => timeTypes[type], time)
  if (names.servedBy !== undefined) {
    problems.push(`${kind}.servedBy: replicas are told apart on PostgreSQL only; leave it out`)
    return problems
  }
  if (idType === undefined || accountType === undefined || isActive === undefined || timeType === undefined) {
    return problems
  }
  return { ...names, idType, accountType, timeType }
}

const integer = /^(0|-?[1-9][0-9]{0,17})$/

/** Whether a value of the column can be written as this text. */
const isValueOf = (type: presenceSql.KeyType, text: string): boolean =>
  type._tag === "Integer" ? integer.test(text) : isStorable(text) && [...text].length <= type.length

const FlushedRecord = Schema.Struct({ n: Schema.Number, active: Schema.Number, millis: Schema.Number })
const HeldRecord = Schema.Struct({
  held: Schema.parseJson(Schema.Array(Schema.Tuple(Schema.Number, Schema.Unknown, Schema.Unknown, Schema.Number)))
})

/** A row that the entry would still change was skipped, because another transaction holds it. */
const isSkipped = (
  { seenAtMillis, state }: FlushEntry,
  { active, millis }: typeof FlushedRecord.Type,
  latestMillis: number
): boolean => {
  if (millis !== seenAtMillis && (millis > latestMillis || millis < seenAtMillis)) return true
  return active === 1 && (state === "ended" || (state === "offline" && millis === seenAtMillis))
}

const flushWith =
  ({ select, update }: ReturnType<typeof presenceSql.flushSql>) =>
  (entries: ReadonlyArray<FlushEntry>, latestMillis: number): Write.Write<FlushResult> => {
    const json = entriesJson(entries)
    return Write.statement(update, [latestMillis, json]).pipe(
      Write.andThen(Write.decodeRows(Write.statement(select, [json]), FlushedRecord)),
      Write.map((rows) => resultOf(entries, rows, (row, entry) => isSkipped(entry, row, latestMillis)))
    )
  }

const offlineWith =
  ({ lock, select, update }: ReturnType<typeof presenceSql.offlineSql>) =>
  (keys: ReadonlyArray<PresenceKey>, believable: BelievableTimes): Write.Write<ReadonlyArray<StaleRow>> => {
    const json = keysJson(keys)
    return Write.statement(lock, [json, believable.firstMillis, believable.lastMillis]).pipe(
      Write.andThen(Write.statement(update)),
      Write.andThen(Write.decodeRows(Write.statement(select), HeldRecord)),
      Write.map((rows) =>
        rows
          .flatMap(({ held }) => held)
          .toSorted(([a], [b]) => a - b)
          .flatMap(([n, , , millis]) => {
            const key = keys[n]
            return key === undefined ? [] : [{ key: keyOf(key.kind, key.accountId, key.id), lastSeenMillis: millis }]
          })
      )
    )
  }

const warnOfSweep = (names: TableNames, indexes: ReadonlyArray<typeof IndexRecord.Type>): Effect.Effect<void> =>
  indexes.some(({ column }) => column?.toLowerCase() === names.active.toLowerCase())
    ? Effect.void
    : Effect.logWarning(
        `no index finds the active rows of "${names.table}": each sweep reads the whole table. ` +
          `CREATE INDEX … ON ${presenceSql.quote(names.table)} (${presenceSql.quote(names.active)})`
      ).pipe(Effect.annotateLogs("code", "PresenceIndexMissing"))

/** What does not fit as texts, or the shape. */
const checkedShape = (
  reader: Reader,
  kind: string,
  names: TableNames
): Effect.Effect<presenceSql.TableShape | ReadonlyArray<string>, StorageUnreadable> =>
  Effect.gen(function* () {
    const columns = yield* read(reader, names.table, ColumnRecord, columnsSql, [names.table])
    const missing = yield* missingOf(reader, kind, names, columns, tablesSql)
    if (missing.length > 0) return missing
    const shape = shapeOf(kind, names, columns)
    if (!("table" in shape)) return shape
    const indexes = yield* read(reader, names.table, IndexRecord, indexesSql, [names.table])
    const access = tableCheck.keyAccess(
      kind,
      names,
      [],
      indexes.map((index) => ({ ...index, isPartial: 0, origin: "c", collation: "" }))
    )
    if (access._tag !== "Index") return access._tag === "None" ? [access.problem] : []
    yield* warnOfSweep(names, indexes)
    return { ...shape, keyIndex: access.name }
  })

/** The table with its statements, or what does not fit. */
export const open = (
  reader: Reader,
  kind: string,
  declared: PresenceKind
): Effect.Effect<ServerTable | ReadonlyArray<string>, StorageUnreadable> =>
  Effect.gen(function* () {
    const names = tableNames(kind, declared)
    const shape = yield* checkedShape(reader, kind, names)
    if (!("table" in shape)) return shape
    return {
      kind,
      table: names.table,
      nameOf: rowNameOf(declared),
      canHold: ({ accountId, id }) =>
        isValueOf(shape.idType, id) && (accountId === undefined || isValueOf(shape.accountType, accountId)),
      flush: flushWith(presenceSql.flushSql(shape)),
      offline: offlineWith(presenceSql.offlineSql(shape)),
      stale: ({ firstMillis, lastMillis }, limit, after) => {
        const sql = presenceSql.staleSql(shape, after === undefined, limit)
        if (after === undefined) return { sql, params: [firstMillis, lastMillis] }
        const start = names.isKeyedByAccount ? [after.id, after.account] : [after.id]
        return { sql, params: [firstMillis, lastMillis, ...start] }
      }
    }
  })
