/**
 * A migrated file with the real writer and the real reader, and a connection to
 * look at it from outside.
 */
import Sqlite from "better-sqlite3"
import { Context, Effect, Layer } from "effect"
import path from "node:path"
import * as SqliteInProcess from "presence-effect/node/SqliteInProcess"
import * as SqliteWriter from "presence-effect/writer/SqliteWriter"
import type { SqlValue } from "presence-effect/writer/Write"
import * as DatabaseReader from "../../src/database/DatabaseReader.ts"
import * as MigrationFolder from "../../src/migration/MigrationFolder.ts"
import * as PrismaMigrator from "../../src/migration/PrismaMigrator.ts"
import * as TemporaryDirectory from "proving/drivers/TemporaryDirectory"

export class FileDatabase extends Context.Tag("test/FileDatabase")<
  FileDatabase,
  {
    readonly filename: string
    readonly sqlite: Sqlite.Database
    readonly query: (sql: string, ...params: ReadonlyArray<SqlValue>) => ReadonlyArray<Record<string, unknown>>
  }
>() {}

const file = Layer.scoped(
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

/** `freeReserveBytes`: space that writes must leave on the disk. */
export const layerWith = (
  freeReserveBytes: number
): Layer.Layer<FileDatabase | SqliteWriter.SqliteWriter | DatabaseReader.DatabaseReader> =>
  Layer.unwrapEffect(
    Effect.map(FileDatabase, ({ filename }) => {
      const writer = SqliteWriter.layer().pipe(Layer.provide(SqliteInProcess.layer({ filename, freeReserveBytes })))
      return Layer.provideMerge(DatabaseReader.layer({ filename }), writer)
    })
  ).pipe(Layer.provideMerge(file), Layer.orDie)

export const layer = layerWith(0)
