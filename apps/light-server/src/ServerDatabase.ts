/**
 * The database of the server, a file or one of a PostgreSQL server, as layers with the same services: the rest of the
 * server does not know which it is.
 */
import { Effect, Layer, Schema } from "effect"
import * as SqliteThread from "presence-effect/node/SqliteThread"
import type { PresenceStorage, StorageUnreadable } from "presence-effect/presence/PresenceStorage"
import * as Compactor from "presence-effect/sqlite/Compactor"
import * as SqlitePresenceStorage from "presence-effect/sqlite/SqlitePresenceStorage"
import * as WalKeeper from "presence-effect/sqlite/WalKeeper"
import type { EngineFault } from "presence-effect/writer/Engine"
import * as SqliteWriter from "presence-effect/writer/SqliteWriter"
import * as Writer from "presence-effect/writer/Writer"
import type { PolicyInvalid } from "presence-effect/writer/WriterPolicy"
import * as SpaceRecovery from "./admin/SpaceRecovery.ts"
import * as SchemaUpdate from "./adoption/SchemaUpdate.ts"
import type { PostgresPlace, ServerConfig } from "./config/ServerConfig.ts"
import * as DatabaseReader from "./database/DatabaseReader.ts"
import type { DatabaseState } from "./database/DatabaseState.ts"
import * as FileState from "./database/FileState.ts"
import * as SessionArchive from "./database/SessionArchive.ts"
import * as TimeForm from "./database/TimeForm.ts"
import { kinds as rows } from "./entities/PresenceKey.ts"
import * as MigrationFolder from "./migration/MigrationFolder.ts"
import * as InstanceLock from "./opening/InstanceLock.ts"
import * as SqliteVersion from "./opening/SqliteVersion.ts"
import * as StartCheck from "./opening/StartCheck.ts"
import type { PostgresDatabaseFailure } from "./postgres/PostgresDatabase.ts"
import * as QuotaTriggers from "./quota/QuotaTriggers.ts"
import * as ShutdownBudget from "./ShutdownBudget.ts"

/** Why a database was not opened. */
export type DatabaseFailure =
  | SqliteVersion.SqliteAffected
  | InstanceLock.InstanceRunning
  | InstanceLock.InstanceLockUnusable
  | StartCheck.DatabaseDamaged
  | SchemaUpdate.SchemaError
  | EngineFault
  | DatabaseReader.ReadFailed
  | PolicyInvalid
  | SqlitePresenceStorage.StorageInvalid
  | StorageUnreadable
  | PostgresDatabaseFailure

/** What must hold before the file is opened to write. The lock lasts until the connection is closed. */
const guard = ({ databaseFile, protection }: ServerConfig) =>
  Layer.effectDiscard(StartCheck.run({ filename: databaseFile, budgetMillis: protection.startCheckMillis })).pipe(
    Layer.provideMerge(InstanceLock.layer({ filename: databaseFile })),
    Layer.provide(Layer.effectDiscard(Effect.suspend(() => SqliteVersion.demandSound(SqliteVersion.linked()))))
  )

const migrate = (config: ServerConfig) =>
  SchemaUpdate.run({
    filename: config.databaseFile,
    migrationsDir: config.migrationsDirectory ?? MigrationFolder.bundledDir,
    isAllowed: config.autoMigrate
  })

/** The directory, then the lock, then the schema, then the one connection that writes, then those that read. */
const file = (config: ServerConfig) => {
  const connection = SqliteThread.layer({
    filename: config.databaseFile,
    journalSizeLimitBytes: config.journalSizeLimitBytes,
    freeReserveBytes: config.protection.freeReserveBytes,
    restartLimit: config.protection.restartLimit,
    setup: QuotaTriggers.setup(config.quota)
  }).pipe(Layer.provide(Layer.effectDiscard(migrate(config))), Layer.provideMerge(guard(config)))
  // The writing connection has already set the journal mode that a read-only connection needs.
  const reader = DatabaseReader.layer({ filename: config.databaseFile }).pipe(Layer.provide(connection))
  const forms = Layer.merge(TimeForm.layer, SessionArchive.layer)
  const isCheckpointed = config.checkpointIntervalMillis !== 0
  return Layer.mergeAll(
    fileStorage(config.presence),
    FileState.layer(config.databaseFile),
    SpaceRecovery.layer({ isCheckpointed }),
    walKeeper(config),
    // No checkpoints by this server when an external tool makes them.
    Compactor.layer({ isCheckpointed })
  ).pipe(
    Layer.provideMerge(
      Layer.provideMerge(Writer.layerSqlite, SqliteWriter.layer(config.writerPolicy)).pipe(
        Layer.provideMerge(Layer.mergeAll(connection, reader, Layer.provide(forms, reader))),
        ShutdownBudget.closeWithin("database", config.shutdownBudget.database)
      )
    )
  )
}

const walKeeper = (config: ServerConfig) =>
  config.checkpointIntervalMillis === 0
    ? Layer.empty
    : WalKeeper.layer({
        checkpointInterval: config.checkpointIntervalMillis,
        logBytesMax: config.journalSizeLimitBytes < 0 ? Number.MAX_SAFE_INTEGER : config.journalSizeLimitBytes,
        drainTimeout: config.shutdownBudget.log
      }).pipe(ShutdownBudget.closeWithin("log", config.shutdownBudget.log))

/** Presence reads through the reader of the server, so its reads never wait either. */
const presenceReader = Layer.effect(
  SqlitePresenceStorage.PresenceReader,
  Effect.map(DatabaseReader.DatabaseReader, (reader) =>
    SqlitePresenceStorage.PresenceReader.of({ query: (sql, params) => reader.rows(Schema.Unknown, sql, params) })
  )
)

/** Presence writes times in the form of the file, as the stores do. */
const fileStorage = ({ chunkHold, chunkRows, endLane, lane }: ServerConfig["presence"]) =>
  Layer.unwrapEffect(
    Effect.map(TimeForm.TimeForm, ({ name }) => {
      const kinds = { session: { ...rows.session, timeForm: name }, machine: { ...rows.machine, timeForm: name } }
      return SqlitePresenceStorage.layer({ kinds, chunkHold, chunkRows, endLane, lane })
    })
  ).pipe(Layer.provide(presenceReader))

/** A database server has no log of ours. Its driver is loaded here. */
const server = (config: ServerConfig, { address, readConnections, writeConnections }: PostgresPlace) => {
  const { endLane, lane } = config.presence
  const isShared = config.redisUrl !== undefined
  const database = Effect.map(
    Effect.promise(() => import("./postgres/PostgresDatabase.ts")),
    (PostgresDatabase) =>
      PostgresDatabase.layer({
        address,
        isShared,
        readConnections,
        writeConnections,
        setup: QuotaTriggers.sessionSetup(config.quota, !isShared),
        policy: config.writerPolicy,
        migration: { isAllowed: config.autoMigrate, migrationsDir: config.migrationsDirectory },
        storage: { kinds: rows, endLane, lane }
      })
  )
  return Layer.mergeAll(
    Layer.unwrapEffect(database).pipe(ShutdownBudget.closeWithin("database", config.shutdownBudget.database)),
    SpaceRecovery.none
  )
}

type Database =
  | Writer.Writer
  | DatabaseReader.DatabaseReader
  | DatabaseState
  | PresenceStorage
  | SpaceRecovery.SpaceRecovery
  | InstanceLock.InstanceLock

/** The database of the configuration. A layer that it stands on must have made the directory. */
export const layer = (config: ServerConfig): Layer.Layer<Database, DatabaseFailure> =>
  config.postgres === undefined ? file(config) : server(config, config.postgres)
