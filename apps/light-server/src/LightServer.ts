/**
 * The composition root: every layer of the server, by name.
 *
 * What is built last ends first. So the order of the layers is the order of the
 * shutdown, read backwards: the port closes and with it the sockets, requests
 * under way end, presence writes its last flush, the log is copied into the
 * database file, the writer closes.
 *
 * @since 0.1.0
 */
import { Duration, Effect, Layer, Schema } from "effect"
import type * as PresenceConfig from "presence-effect/PresenceConfig"
import * as SqliteThread from "presence-effect/node/SqliteThread"
import * as Presence from "presence-effect/Presence"
import type { StorageUnreadable } from "presence-effect/PresenceStorage"
import type { EngineFault } from "presence-effect/SqliteConnection"
import { PresenceReader, type StorageInvalid } from "presence-effect/SqlitePresenceStorage"
import * as SqliteWriter from "presence-effect/SqliteWriter"
import * as WalKeeper from "presence-effect/WalKeeper"
import type { PolicyInvalid } from "presence-effect/WriterPolicy"
import * as AccountStore from "./accounts/AccountStore.ts"
import * as AuthRoutes from "./accounts/AuthRoutes.ts"
import * as Login from "./accounts/Login.ts"
import * as Tokens from "./accounts/Tokens.ts"
import * as DatabaseReader from "./database/DatabaseReader.ts"
import * as DataDirectory from "./database/DataDirectory.ts"
import type { MigrationError } from "./database/MigrationError.ts"
import * as MigrationGate from "./database/MigrationGate.ts"
import * as MigrationFolder from "./database/MigrationFolder.ts"
import * as PrismaMigrator from "./database/PrismaMigrator.ts"
import * as HealthRoutes from "./health/HealthRoutes.ts"
import * as Readiness from "./health/Readiness.ts"
import * as HttpApp from "./http/HttpApp.ts"
import * as HttpListener from "./http/HttpListener.ts"
import * as MachineEvents from "./machines/MachineEvents.ts"
import * as MachineRegistry from "./machines/MachineRegistry.ts"
import * as MachineRoutes from "./machines/MachineRoutes.ts"
import * as MachineStore from "./machines/MachineStore.ts"
import * as Emitter from "./realtime/Emitter.ts"
import * as EventRegistry from "./realtime/EventRegistry.ts"
import * as Ownership from "./realtime/Ownership.ts"
import * as RealtimeApp from "./realtime/RealtimeApp.ts"
import * as RealtimeOptions from "./realtime/RealtimeOptions.ts"
import * as SocketServer from "./realtime/SocketServer.ts"
import type { ServerConfig } from "./ServerConfig.ts"
import * as SessionEvents from "./sessions/SessionEvents.ts"
import * as SessionRegistry from "./sessions/SessionRegistry.ts"
import * as SessionRoutes from "./sessions/SessionRoutes.ts"
import * as SessionStore from "./sessions/SessionStore.ts"
import * as UsageEvents from "./usage/UsageEvents.ts"
import * as UsageLog from "./usage/UsageLog.ts"
import * as UsageRoutes from "./usage/UsageRoutes.ts"
import * as UsageStore from "./usage/UsageStore.ts"

/**
 * Why a server did not start.
 *
 * @category errors
 * @since 0.1.0
 */
export type StartFailure =
  | DataDirectory.DataDirectoryUnusable
  | MigrationError
  | MigrationGate.MigrationsMissing
  | EngineFault
  | DatabaseReader.ReadFailed
  | PolicyInvalid
  | PresenceConfig.ConfigInvalid
  | StorageInvalid
  | StorageUnreadable
  | HttpListener.ListenFailed

const migrate = (config: ServerConfig) => {
  const options = {
    filename: config.databaseFile,
    migrationsDir: config.migrationsDirectory ?? MigrationFolder.bundledDir
  }
  return config.autoMigrate ? Effect.asVoid(PrismaMigrator.migrate(options)) : MigrationGate.demandNone(options)
}

/** The directory, then the schema, then the one connection that writes, then those that read. */
const database = (config: ServerConfig) => {
  const directory = DataDirectory.layer({ path: config.dataDirectory, masterSecret: config.masterSecret })
  const connection = SqliteThread.layer({
    filename: config.databaseFile,
    journalSizeLimitBytes: config.journalSizeLimitBytes
  }).pipe(Layer.provide(Layer.effectDiscard(migrate(config))), Layer.provide(directory))
  // A read-only connection finds the file in the state that the writing one has brought it into.
  const reader = DatabaseReader.layer({ filename: config.databaseFile }).pipe(Layer.provide(connection))
  return SqliteWriter.layer(config.writerPolicy).pipe(
    Layer.provideMerge(Layer.mergeAll(connection, reader)),
    Layer.provideMerge(directory)
  )
}

const walKeeper = (config: ServerConfig) =>
  config.checkpointIntervalMillis === 0
    ? Layer.empty
    : WalKeeper.layer({
        checkpointInterval: config.checkpointIntervalMillis,
        logBytesMax: config.journalSizeLimitBytes < 0 ? Number.MAX_SAFE_INTEGER : config.journalSizeLimitBytes
      })

/** Presence reads through the reader of the server, and so never waits either. */
const presenceReader = Layer.effect(
  PresenceReader,
  Effect.map(DatabaseReader.DatabaseReader, (reader) =>
    PresenceReader.of({ query: (sql, params) => reader.rows(Schema.Unknown, sql, params) })
  )
)

const presence = ({ presence }: ServerConfig) =>
  Presence.layerSqlite({
    interval: presence.flushIntervalMillis,
    persistThreshold: presence.persistThresholdMillis,
    acceptanceWindow: Math.min(Duration.toMillis("10 minutes"), 4 * presence.offlineTimeoutMillis),
    offlineTimeout: presence.offlineTimeoutMillis,
    sweepInterval: presence.sweepIntervalMillis,
    disconnectGrace: presence.disconnectGraceMillis,
    startGrace: presence.startGraceMillis,
    drainTimeout: presence.drainTimeoutMillis
  }).pipe(Layer.provide(presenceReader))

const http = (config: ServerConfig) =>
  HttpApp.layer({ bodyLimitBytes: config.bodyLimitBytes, corsOrigins: config.corsOrigins }).pipe(
    Layer.provideMerge(Tokens.layer())
  )

const accounts = AuthRoutes.layer.pipe(Layer.provide(Layer.mergeAll(Login.layer(), AccountStore.layer)))

const machines = Layer.mergeAll(MachineRoutes.layer, MachineEvents.layer).pipe(
  Layer.provide(MachineRegistry.layer),
  Layer.provide(MachineStore.layer)
)

const sessions = Layer.mergeAll(SessionRoutes.layer, SessionEvents.layer).pipe(
  Layer.provide(SessionRegistry.layer),
  Layer.provide(SessionStore.layer)
)

const usage = Layer.mergeAll(UsageRoutes.layer, UsageEvents.layer).pipe(
  Layer.provide(UsageLog.layer),
  Layer.provide(UsageStore.layer)
)

/** Sockets are accepted when every feature has said which events it wants. */
const realtime = (config: ServerConfig) => {
  const options = { ...RealtimeOptions.defaults, origins: config.corsOrigins }
  return RealtimeApp.layer(options).pipe(
    Layer.provideMerge(Layer.mergeAll(accounts, machines, sessions, usage)),
    Layer.provideMerge(Layer.mergeAll(Emitter.layer, EventRegistry.layer, Ownership.layer(options))),
    Layer.provideMerge(SocketServer.layer(options))
  )
}

const health = (config: ServerConfig) =>
  HealthRoutes.layer({ metrics: config.metricsEnabled }).pipe(
    Layer.provideMerge(
      Readiness.layer({
        databaseFile: config.databaseFile,
        flushInterval: config.presence.flushIntervalMillis
      })
    )
  )

/** What the later steps of the shutdown need: the last flush, the last copy of the log, and a second to spare. */
const closeTimeout = (config: ServerConfig) =>
  Math.max(500, config.shutdownTimeoutMillis - config.presence.drainTimeoutMillis - 4000)

const listener = (config: ServerConfig) =>
  HttpListener.layer({ host: config.host, port: config.port, closeTimeout: closeTimeout(config) })

/**
 * The whole server, from the directory to the open port. It serves as long as
 * its scope is open.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  config: ServerConfig
): Layer.Layer<HttpListener.HttpListener | Readiness.Readiness | Presence.Presence, StartFailure> =>
  listener(config).pipe(
    Layer.provideMerge(Layer.mergeAll(realtime(config), health(config))),
    Layer.provideMerge(http(config)),
    Layer.provideMerge(presence(config)),
    Layer.provideMerge(walKeeper(config)),
    Layer.provideMerge(database(config))
  )
