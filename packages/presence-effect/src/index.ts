/**
 * The modules that most hosts need, as namespaces. Each one is also a module of
 * its own: `presence-effect/writer/SqliteWriter`.
 *
 * @since 0.1.0
 */
export * as OfflineSweeper from "./presence/OfflineSweeper.ts"
export * as Presence from "./Presence.ts"
export * as PresenceConfig from "./presence/PresenceConfig.ts"
export * as PresenceKey from "./presence/PresenceKey.ts"
export * as PresenceStorage from "./presence/PresenceStorage.ts"
export * as SqlitePresenceStorage from "./sqlite/SqlitePresenceStorage.ts"
export * as PresenceTables from "./sqlite/PresenceTables.ts"
export * as WalKeeper from "./sqlite/WalKeeper.ts"
export * as Durability from "./writer/Durability.ts"
export * as Engine from "./writer/Engine.ts"
export * as Lane from "./writer/Lane.ts"
export * as SqliteConnection from "./writer/SqliteConnection.ts"
export * as SqliteWriter from "./writer/SqliteWriter.ts"
export * as Write from "./writer/Write.ts"
export * as Writer from "./writer/Writer.ts"
export * as WriterError from "./writer/WriterError.ts"
export * as WriterPolicy from "./writer/WriterPolicy.ts"
