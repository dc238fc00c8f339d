/**
 * The composition root: every layer of the server, by name.
 *
 * Layers that are built last are closed first. The order of the layers is
 * therefore the order of the shutdown, reversed: the port closes and with it
 * the sockets, requests under way end, presence writes its last flush, the log
 * is copied into the database file, the writer closes.
 */
import { Effect, Layer } from "effect"
import type * as PresenceConfig from "presence-effect/presence/PresenceConfig"
import * as PresenceEffect from "presence-effect/Presence"
import type * as Writer from "presence-effect/writer/Writer"
import * as AccountDirectory from "./admin/AccountDirectory.ts"
import * as AccountRemoval from "./admin/AccountRemoval.ts"
import * as AccountSwitch from "./admin/AccountSwitch.ts"
import * as AdminRoutes from "./admin/AdminRoutes.ts"
import * as BackupSchedule from "./admin/BackupSchedule.ts"
import * as ServerStatus from "./admin/ServerStatus.ts"
import * as AccessKeyRoutes from "./accesskeys/AccessKeyRoutes.ts"
import * as AccessKeys from "./accesskeys/AccessKeys.ts"
import * as AccessKeyStore from "./accesskeys/AccessKeyStore.ts"
import * as AccountRoutes from "./accounts/AccountRoutes.ts"
import * as AccountSettings from "./accounts/AccountSettings.ts"
import * as AccountStore from "./accounts/AccountStore.ts"
import * as AuthRoutes from "./accounts/AuthRoutes.ts"
import * as DeviceRoutes from "./accounts/DeviceRoutes.ts"
import * as Devices from "./accounts/Devices.ts"
import * as Login from "./accounts/Login.ts"
import * as Pairing from "./accounts/Pairing.ts"
import * as PairingRoutes from "./accounts/PairingRoutes.ts"
import * as PairingStore from "./accounts/PairingStore.ts"
import * as SeenChallenges from "./accounts/SeenChallenges.ts"
import * as StorageRoutes from "./accounts/StorageRoutes.ts"
import * as SettingsStore from "./accounts/SettingsStore.ts"
import * as TokenRevocation from "./accounts/TokenRevocation.ts"
import * as Tokens from "./accounts/Tokens.ts"
import * as ArtifactEvents from "./artifacts/ArtifactEvents.ts"
import * as ArtifactRegistry from "./artifacts/ArtifactRegistry.ts"
import * as ArtifactRoutes from "./artifacts/ArtifactRoutes.ts"
import * as ArtifactStore from "./artifacts/ArtifactStore.ts"
import * as ConnectRoutes from "./connect/ConnectRoutes.ts"
import * as VendorTokenStore from "./connect/VendorTokenStore.ts"
import * as KeyValueRoutes from "./kv/KeyValueRoutes.ts"
import * as KeyValues from "./kv/KeyValues.ts"
import * as KeyValueStore from "./kv/KeyValueStore.ts"
import * as Quota from "./quota/Quota.ts"
import * as PushRoutes from "./push/PushRoutes.ts"
import * as PushTokenStore from "./push/PushTokenStore.ts"
import * as SocialRoutes from "./social/SocialRoutes.ts"
import * as ChangeFeed from "./changes/ChangeFeed.ts"
import * as ChangePruner from "./changes/ChangePruner.ts"
import * as ChangeRoutes from "./changes/ChangeRoutes.ts"
import * as OperatorAccess from "./door/OperatorAccess.ts"
import * as BackupRecord from "./operator/BackupRecord.ts"
import * as DataDirectory from "./opening/DataDirectory.ts"
import type * as InstanceLock from "./opening/InstanceLock.ts"
import * as HealthRoutes from "./health/HealthRoutes.ts"
import * as Readiness from "./health/Readiness.ts"
import * as FileSystem from "node:fs"
import * as HttpApp from "./http/HttpApp.ts"
import * as HttpListener from "./http/HttpListener.ts"
import * as SubPath from "./http/SubPath.ts"
import * as MachineEvents from "./machines/MachineEvents.ts"
import * as MachineLists from "./machines/MachineLists.ts"
import * as MachineRegistry from "./machines/MachineRegistry.ts"
import * as MachineRoutes from "./machines/MachineRoutes.ts"
import * as MachineStore from "./machines/MachineStore.ts"
import * as MessageBatchRoutes from "./messages/MessageBatchRoutes.ts"
import * as MessageEvents from "./messages/MessageEvents.ts"
import * as MessageLog from "./messages/MessageLog.ts"
import * as MessageRoutes from "./messages/MessageRoutes.ts"
import * as MessageStore from "./messages/MessageStore.ts"
import * as RedisReplicas from "./replicas/RedisReplicas.ts"
import type { RedisUnusable } from "./replicas/RedisUnusable.ts"
import * as Emitter from "./realtime/sending/Emitter.ts"
import * as EventRegistry from "./realtime/events/EventRegistry.ts"
import * as OnlineSessions from "./entities/OnlineSessions.ts"
import * as Ownership from "./entities/Ownership.ts"
import * as SharedPresence from "./entities/SharedPresence.ts"
import { Presence } from "./entities/Presence.ts"
import * as RealtimeApp from "./realtime/RealtimeApp.ts"
import * as SocketServer from "./realtime/SocketServer.ts"
import * as SocketLookup from "./realtime/sending/SocketLookup.ts"
import * as RpcEvents from "./rpc/RpcEvents.ts"
import * as RpcRelay from "./rpc/RpcRelay.ts"
import type { ServerConfig } from "./config/ServerConfig.ts"
import * as ServerDatabase from "./ServerDatabase.ts"
import * as MetricSeries from "./MetricSeries.ts"
import * as ShutdownBudget from "./ShutdownBudget.ts"
import * as ArchiveRoutes from "./sessions/ArchiveRoutes.ts"
import * as SessionEvents from "./sessions/SessionEvents.ts"
import * as SessionLists from "./sessions/SessionLists.ts"
import * as SessionRegistry from "./sessions/SessionRegistry.ts"
import * as SessionRoutes from "./sessions/SessionRoutes.ts"
import * as SessionStore from "./sessions/SessionStore.ts"
import * as StatusPage from "./status/StatusPage.ts"
import * as UsageEvents from "./usage/UsageEvents.ts"
import * as UsageLog from "./usage/UsageLog.ts"
import * as UsageRoutes from "./usage/UsageRoutes.ts"
import * as UsageStore from "./usage/UsageStore.ts"

/** Why a server did not start. */
export type StartFailure =
  | ServerDatabase.DatabaseFailure
  | DataDirectory.DataDirectoryUnusable
  | PresenceConfig.ConfigInvalid
  | HttpListener.ListenFailed
  | RedisUnusable

/**
 * Before a database is created: if the server cannot listen on its address, it ends without having created anything. An
 * existing database is opened first, so that a second server on it reports which process holds it.
 */
const firstStart = ({ databaseFile, host, port, postgres }: ServerConfig) =>
  Layer.effectDiscard(
    postgres !== undefined || FileSystem.existsSync(databaseFile)
      ? Effect.void
      : HttpListener.demandFree({ host, port })
  )

/** Before the database is opened. */
const directory = (config: ServerConfig) =>
  DataDirectory.layer({ path: config.dataDirectory, masterSecret: config.masterSecret }).pipe(
    Layer.provide(Layer.suspend(() => firstStart(config)))
  )

const database = (config: ServerConfig) => {
  const place = directory(config)
  return Quota.layer(config.quota, { isAlone: config.redisUrl === undefined }).pipe(
    Layer.provideMerge(Layer.provide(ServerDatabase.layer(config), place)),
    Layer.provideMerge(place)
  )
}

const presence = ({ presence, shutdownBudget }: ServerConfig) =>
  PresenceEffect.layer(Presence, presence).pipe(ShutdownBudget.closeWithin("presence", shutdownBudget.presence))

const accessOf = ({ operatorToken }: ServerConfig) => OperatorAccess.make(operatorToken)

const http = (config: ServerConfig) => {
  const access = accessOf(config)
  return HttpApp.layer({
    bodyLimitBytes: config.bodyLimitBytes,
    corsOrigins: config.corsOrigins,
    trustedProxies: config.trustedProxies,
    rateLimits: config.rateLimits,
    messageLimitBytes: config.messageLimitBytes,
    shedDelayMillis: config.shedDelayMillis,
    connections: { total: config.connectionLimit, perAddress: config.addressConnectionLimit },
    webAppDirectory: config.webAppDirectory,
    leadsToStatus: (request) => access.decide(request, config.statusPage) === "granted"
  }).pipe(Layer.provideMerge(Tokens.layer()))
}

const accounts = ({ pairing, publicUrl, signUp }: ServerConfig) =>
  Layer.mergeAll(
    AuthRoutes.layer,
    PairingRoutes.layer,
    AccountRoutes.layer({ publicUrl }),
    StorageRoutes.layer,
    DeviceRoutes.layer
  ).pipe(
    Layer.provideMerge(Devices.layer),
    Layer.provide(Layer.mergeAll(Login.layer(), Pairing.layer, AccountSettings.layer)),
    Layer.provideMerge(TokenRevocation.layer()),
    Layer.provide(Layer.mergeAll(AccountStore.layerWith(signUp), SettingsStore.layer, PairingStore.layer(pairing))),
    Layer.provide(SeenChallenges.layer())
  )

const machines = Layer.mergeAll(MachineRoutes.layer(), MachineEvents.layer).pipe(
  Layer.provide(Layer.merge(MachineRegistry.layer, MachineLists.layer)),
  Layer.provide(MachineStore.layer)
)

const sessions = Layer.mergeAll(SessionRoutes.layer, ArchiveRoutes.layer, SessionEvents.layer).pipe(
  Layer.provide(SessionLists.layer),
  Layer.provideMerge(SessionRegistry.layer),
  Layer.provide(SessionStore.layer)
)

const messages = Layer.mergeAll(MessageRoutes.layer, MessageBatchRoutes.layer, MessageEvents.layer).pipe(
  Layer.provide(MessageLog.layer),
  Layer.provide(MessageStore.layer)
)

const changes = (config: ServerConfig) =>
  Layer.merge(ChangeRoutes.layer.pipe(Layer.provide(ChangeFeed.layer)), ChangePruner.layer(config.changes))

const usage = Layer.mergeAll(UsageRoutes.layer, UsageEvents.layer).pipe(
  Layer.provide(UsageLog.layer),
  Layer.provide(UsageStore.layer)
)

const artifacts = Layer.mergeAll(ArtifactRoutes.layer, ArtifactEvents.layer).pipe(
  Layer.provide(ArtifactRegistry.layer),
  Layer.provide(ArtifactStore.layer)
)

const keyValues = KeyValueRoutes.layer.pipe(Layer.provide(KeyValues.layer), Layer.provide(KeyValueStore.layer))

const accessKeys = AccessKeyRoutes.layer.pipe(Layer.provide(AccessKeys.layer), Layer.provide(AccessKeyStore.layer))

/** What devices of an account share besides machines and sessions. */
const shared = Layer.mergeAll(
  artifacts,
  keyValues,
  accessKeys,
  PushRoutes.layer.pipe(Layer.provide(PushTokenStore.layer)),
  ConnectRoutes.layer.pipe(Layer.provide(VendorTokenStore.layer)),
  SocialRoutes.layer
)

const rpc = (config: ServerConfig) => RpcEvents.layer.pipe(Layer.provide(RpcRelay.layer(config.rpc)))

/** Sockets are accepted after every feature has registered its events. */
const realtime = (config: ServerConfig) => {
  const options = config.realtime
  const entities = Layer.mergeAll(accounts(config), machines, sessions, messages, shared)
  return RealtimeApp.layer(options).pipe(
    Layer.provideMerge(Layer.mergeAll(entities, changes(config), usage, rpc(config))),
    Layer.provideMerge(
      Layer.mergeAll(Emitter.layer(options), SocketLookup.layer, EventRegistry.layer, Ownership.layer(options))
    ),
    Layer.provideMerge(SocketServer.layer(options)),
    ShutdownBudget.closeWithin("events", config.shutdownBudget.events)
  )
}

const metricsDecision = (config: ServerConfig) => {
  const access = accessOf(config)
  return (request: OperatorAccess.Asking) => access.decide(request, config.metricsAccess)
}

const health = (config: ServerConfig) =>
  HealthRoutes.layer({ metrics: config.metricsEnabled, isReadableBy: metricsDecision(config) }).pipe(
    Layer.provideMerge(
      Readiness.layer({
        flushInterval: config.presence.interval,
        diskReserveBytes: config.protection.freeReserveBytes
      })
    )
  )

const status = (config: ServerConfig) =>
  StatusPage.layer({
    access: accessOf(config),
    audience: config.statusPage,
    publicUrl: config.publicUrl,
    backups: BackupRecord.look(config.dataDirectory),
    diskReserveBytes: config.protection.freeReserveBytes,
    logBytesMax: config.journalSizeLimitBytes < 0 ? Number.MAX_SAFE_INTEGER : config.journalSizeLimitBytes
  })

const listener = (config: ServerConfig) => {
  const { requests, sockets } = config.shutdownBudget
  return HttpListener.layer({
    host: config.host,
    port: config.port,
    closeTimeout: requests,
    subPath: SubPath.of(config.publicUrl)
  }).pipe(ShutdownBudget.closeWithin("requests", sockets + requests))
}

/** Commands of the operator are answered, and backups made, once the port is open, and until it closes. */
const admin = (config: ServerConfig) =>
  AdminRoutes.layer({ dataDirectory: config.dataDirectory }).pipe(
    Layer.merge(
      BackupSchedule.layer({
        dataDirectory: config.dataDirectory,
        intervalMillis: config.backup.intervalMillis
      })
    ),
    Layer.provide(AccountDirectory.layer),
    Layer.provide(Layer.mergeAll(ServerStatus.layer(config), AccountRemoval.layer, AccountSwitch.layer))
  )

/**
 * The whole server, from the directory to the open port. It serves as long as
 * its scope is open.
 */
export const layer = (
  config: ServerConfig
): Layer.Layer<
  HttpListener.HttpListener | InstanceLock.InstanceLock | Readiness.Readiness | Presence | Writer.Writer,
  StartFailure
> =>
  admin(config).pipe(
    Layer.provideMerge(listener(config)),
    Layer.provideMerge(status(config)),
    Layer.provideMerge(Layer.mergeAll(realtime(config), health(config))),
    Layer.provideMerge(http(config)),
    Layer.provideMerge(OnlineSessions.layer.pipe(Layer.provide(SharedPresence.layer), Layer.provide(presence(config)))),
    Layer.provideMerge(database(config)),
    // After the database: a server that cannot use it is no replica of any other.
    Layer.provideMerge(RedisReplicas.layer(config.redisUrl)),
    // Gauges are set while the layers above are built, so this one comes first.
    Layer.provideMerge(MetricSeries.layer)
  )
