/** The tables of the declared kinds, checked, with the constant texts of their statements. */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { KindUndeclared, type PresenceKind, type PresenceKinds, rowNameOf } from "../../presence/PresenceKind.ts"
import type { StorageUnreadable } from "../../presence/PresenceStorage.ts"
import * as Write from "../../writer/Write.ts"
import * as caseUpdate from "./caseUpdate.ts"
import { read, type Reader } from "./reading.ts"
import type { Target } from "./rowWrites.ts"
import * as tableCheck from "./tableCheck.ts"
import { tableNames, type TableNames } from "./tableNames.ts"

/** What is known of the table of one kind. */
export interface KindTable extends Target {
  readonly kind: string
  readonly table: string
  readonly stale: ReadonlyArray<caseUpdate.StaleRange>
  readonly nameOf: ReturnType<typeof rowNameOf>
}

/** A table that is there and cannot be used as it was declared. */
export class Unfit extends Data.TaggedError("Unfit")<{
  readonly problems: readonly [string, ...ReadonlyArray<string>]
  readonly file?: string | undefined
}> {}

const SampleRecord = Schema.Struct({
  numbers: Schema.Number,
  times: Schema.Number,
  seconds: Schema.Number,
  texts: Schema.Number
})
const ColumnRecord = Schema.Struct({ name: Schema.String, type: Schema.String, pk: Schema.Number })
const IndexRecord = Schema.Struct({
  index: Schema.String,
  origin: Schema.String,
  isUnique: Schema.Number,
  isPartial: Schema.Number,
  column: Schema.NullOr(Schema.String),
  collation: Schema.String
})

const PlaceRecord = Schema.Struct({ file: Schema.String, tables: Schema.NullOr(Schema.String) })

/** Adds the file, when the reader knows one. */
const inItsFile = (reader: Reader, { problems }: Unfit): Effect.Effect<never, Unfit> =>
  read(reader, "the database", PlaceRecord, tableCheck.placeSql, []).pipe(
    Effect.map(([place]) => place?.file),
    Effect.orElseSucceed(() => undefined),
    Effect.flatMap((file) => new Unfit({ problems, file }))
  )

type Access = Pick<caseUpdate.TableShape, "keyIndex" | "sweepIndex" | "idForm" | "accountForm">

const plain: caseUpdate.ColumnForm = { isText: true, collation: undefined }

/** A reader that stands in for a database has no columns, and is not checked. */
const unchecked: Access = { keyIndex: undefined, sweepIndex: undefined, idForm: plain, accountForm: plain }

const accessOf = (reader: Reader, kind: string, names: TableNames): Effect.Effect<Access, Unfit | StorageUnreadable> =>
  Effect.gen(function* () {
    const columns = yield* read(reader, names.table, ColumnRecord, tableCheck.columnsSql, [names.table])
    if (columns.length === 0) {
      const [place] = yield* read(reader, names.table, PlaceRecord, tableCheck.placeSql, [])
      if (place === undefined) return unchecked
      return yield* new Unfit({ problems: [tableCheck.missingTable(kind, names, place)] })
    }
    const [missing, ...others] = tableCheck.missingColumns(kind, names, columns)
    if (missing !== undefined) return yield* new Unfit({ problems: [missing, ...others] })
    const indexes = yield* read(reader, names.table, IndexRecord, tableCheck.indexesSql, [names.table])
    const sweepIndex = tableCheck.sweepIndex(names, indexes)
    if (sweepIndex === undefined) {
      yield* Effect.logWarning(
        `no index on ("${names.active}", "${names.lastActiveAt}") of "${names.table}": each sweep reads the whole table`
      ).pipe(Effect.annotateLogs("code", "PresenceIndexMissing"))
    }
    const access = tableCheck.keyAccess(kind, names, columns, indexes)
    if (access._tag === "None") return yield* new Unfit({ problems: [access.problem] })
    const keyIndex = access._tag === "Index" ? access.name : undefined
    return {
      keyIndex,
      sweepIndex,
      idForm: tableCheck.columnForm(names.id, keyIndex, columns, indexes),
      accountForm: tableCheck.columnForm(names.accountId, keyIndex, columns, indexes)
    }
  })

/** Times in seconds would be taken for times of January 1970, and an end and a heartbeat of one second be confused. */
const timeFormOf = (
  reader: Reader,
  kind: string,
  names: TableNames,
  { timeForm = "detect" }: PresenceKind
): Effect.Effect<caseUpdate.TimeForm, Unfit | StorageUnreadable> =>
  Effect.gen(function* () {
    const [sample] = yield* read(reader, names.table, SampleRecord, caseUpdate.sampleSql(names), [])
    if (sample !== undefined && timeForm !== "iso" && sample.seconds > 0 && sample.seconds === sample.times) {
      return yield* new Unfit({
        problems: [
          `${kind}.lastActiveAt: the times in "${names.lastActiveAt}" of "${names.table}" are seconds; ` +
            "epoch milliseconds or ISO texts are needed"
        ]
      })
    }
    if (timeForm !== "detect") return timeForm
    return sample !== undefined && sample.texts > sample.numbers ? "iso" : "integer"
  })

const openTable = (
  reader: Reader,
  kind: string,
  declared: PresenceKind
): Effect.Effect<KindTable, Unfit | StorageUnreadable> =>
  Effect.gen(function* () {
    // One process is alone with the file, so its rows carry no mark.
    const names = { ...tableNames(kind, declared), servedBy: undefined }
    const access = yield* accessOf(reader, kind, names)
    const timeForm = yield* timeFormOf(reader, kind, names, declared)
    const shape: caseUpdate.TableShape = { ...names, timeForm, ...access }
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
    const { isKeyedByAccount, table } = names
    return { kind, table, flush, offline, stale, isKeyedByAccount, nameOf: rowNameOf(declared) }
  })

export interface KindTables {
  readonly tables: ReadonlyArray<KindTable>
  /** Throws `KindUndeclared`. */
  readonly tableOf: (kind: string) => KindTable
  /** A write to each table that has a part, as one: one transaction, one statement per table. */
  readonly writeAll: <K extends { readonly kind: string }, A>(
    keys: ReadonlyArray<K>,
    writeOne: (table: KindTable, part: ReadonlyArray<K>) => Write.Write<A>
  ) => Write.Write<ReadonlyArray<A>>
}

export const open = (reader: Reader, kinds: PresenceKinds): Effect.Effect<KindTables, Unfit | StorageUnreadable> =>
  Effect.gen(function* () {
    const tables = yield* Effect.forEach(Object.entries(kinds), ([kind, declared]) =>
      Effect.catchTag(openTable(reader, kind, declared), "Unfit", (unfit) => inItsFile(reader, unfit))
    )
    const byKind = new Map(tables.map((table) => [table.kind, table]))
    const tableOf = (kind: string): KindTable => {
      const table = byKind.get(kind)
      if (table === undefined) throw new KindUndeclared({ kind, declared: Object.keys(kinds) })
      return table
    }
    return {
      tables,
      tableOf,
      writeAll: <K extends { readonly kind: string }, A>(
        keys: ReadonlyArray<K>,
        writeOne: (table: KindTable, part: ReadonlyArray<K>) => Write.Write<A>
      ) => {
        const parts = new Map<KindTable, Array<K>>(tables.map((table) => [table, []]))
        for (const key of keys) parts.get(tableOf(key.kind))?.push(key)
        return Write.all(
          Array.from(parts).flatMap(([table, part]) => (part.length === 0 ? [] : [writeOne(table, part)]))
        )
      }
    }
  })
