/**
 * A migrated file with the real writer and the real reader, and a connection to
 * look at it from outside.
 */
import Sqlite from "better-sqlite3"
import { Context, Effect, Layer } from "effect"
import path from "node:path"
import * as SqliteInProcess from "presence-effect/node/SqliteInProcess"
import * as SqliteWriter from "presence-effect/writer/SqliteWriter"
import * as Writer from "presence-effect/writer/Writer"
import type { SqlValue } from "presence-effect/writer/Write"
import * as DatabaseReader from "../../src/database/DatabaseReader.ts"
import * as MigrationFolder from "../../src/migration/MigrationFolder.ts"
import * as PrismaMigrator from "../../src/migration/PrismaMigrator.ts"
import * as Quota from "../../src/quota/Quota.ts"
import type { Limits } from "../../src/quota/QuotaKnobs.ts"
import * as QuotaTriggers from "../../src/quota/QuotaTriggers.ts"
import * as TemporaryDirectory from "proving/drivers/TemporaryDirectory"

export class FileDatabase extends Context.Tag("test/FileDatabase")<
  FileDatabase,
  {
    readonly filename: string
    readonly sqlite: Sqlite.Database
    readonly query: (sql: string, ...params: ReadonlyArray<SqlValue>) => ReadonlyArray<Record<string, unknown>>
  }
>() {}

/** No server has opened it. */
export const migrated = Layer.scoped(
  FileDatabase,
  Effect.gen(function* () {
    const filename = path.join(yield* TemporaryDirectory.make, "light.sqlite")
    yield* PrismaMigrator.migrate({ filename, migrationsDir: MigrationFolder.bundledDir })
    const sqlite = yield* Effect.acquireRelease(
      Effect.sync(() => new Sqlite(filename, { timeout: 0 })),
      (sqlite) => Effect.sync(() => sqlite.close())
    )
    return FileDatabase.of({
      filename,
      sqlite,
      query: (sql, ...params) => sqlite.prepare(sql).all(...params) as ReadonlyArray<Record<string, unknown>>
    })
  })
)

export interface Options {
  /** What writes leave on the disk. */
  readonly freeReserveBytes?: number
}

/** The writer and the reader of a file, as a server opens them. */
export const openedLayer = (filename: string, limits?: Limits, freeReserveBytes = 0) => {
  const connection = SqliteInProcess.layer({ filename, freeReserveBytes, setup: QuotaTriggers.setup(limits) })
  return Quota.layer(limits).pipe(
    Layer.provideMerge(DatabaseReader.layer({ filename })),
    Layer.provideMerge(Layer.provideMerge(Writer.layerSqlite, SqliteWriter.layer()).pipe(Layer.provide(connection)))
  )
}

export const layerWith = (
  options: Options
): Layer.Layer<FileDatabase | Writer.Writer | SqliteWriter.SqliteWriter | DatabaseReader.DatabaseReader> =>
  Layer.unwrapEffect(
    Effect.map(FileDatabase, ({ filename }) => openedLayer(filename, undefined, options.freeReserveBytes))
  ).pipe(Layer.provideMerge(migrated), Layer.orDie)

export const layer = layerWith({})
