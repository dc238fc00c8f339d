/**
 * A PostgreSQL database as the server uses it. Loaded only when the configuration names one, and with it the driver.
 */
import { Effect, Layer, Redacted, Schema } from "effect"
import * as PostgresEngine from "presence-effect/postgres/PostgresEngine"
import * as PostgresPresenceStorage from "presence-effect/postgres/PostgresPresenceStorage"
import * as PostgresReplica from "presence-effect/postgres/PostgresReplica"
import type { PresenceKinds } from "presence-effect/presence/PresenceKind"
import type { PresenceStorage, StorageUnreadable } from "presence-effect/presence/PresenceStorage"
import {
  type Options as StorageOptions,
  PresenceReader,
  type StorageInvalid
} from "presence-effect/sqlite/SqlitePresenceStorage"
import { Replica } from "presence-effect/presence/Replica"
import type { EngineFault } from "presence-effect/writer/Engine"
import type { Writer } from "presence-effect/writer/Writer"
import type { PolicyInvalid, WriterPolicy } from "presence-effect/writer/WriterPolicy"
import { DatabaseReader } from "../database/DatabaseReader.ts"
import type { DatabaseState } from "../database/DatabaseState.ts"
import type { InstanceLock, InstanceRunning } from "../opening/InstanceLock.ts"
import { type PostgresAddress, serverName } from "../PostgresAddress.ts"
import * as DatabaseLock from "./DatabaseLock.ts"
import { type PostgresFailure, PostgresUnreachable } from "./PostgresFailure.ts"
import * as PostgresMigrator from "./PostgresMigrator.ts"
import * as PostgresReads from "./PostgresReads.ts"
import * as PostgresState from "./PostgresState.ts"
import * as PostgresWriter from "./PostgresWriter.ts"

/** Why a database was not opened. */
export type PostgresDatabaseFailure =
  | InstanceRunning
  | PostgresFailure
  | PostgresMigrator.PostgresMigrationError
  | EngineFault
  | PolicyInvalid
  | StorageInvalid
  | StorageUnreadable

export interface Options {
  readonly address: PostgresAddress
  /** Whether other servers may serve it too. This one tells them what happens, and keeps a lease for its rows. */
  readonly isShared: boolean
  /** How many connections write, at least two. */
  readonly writeConnections: number
  /** How many connections read, at least three. */
  readonly readConnections: number
  /** Statements that prepare each connection that writes. */
  readonly setup: ReadonlyArray<string>
  readonly migration: PostgresMigrator.Options
  readonly policy: WriterPolicy
  readonly storage: Pick<StorageOptions, "kinds"> & Partial<StorageOptions>
}

const presenceReader = Layer.effect(
  PresenceReader,
  Effect.map(DatabaseReader, (reader) =>
    PresenceReader.of({ query: (sql, params) => reader.rowsAside("list", Schema.Unknown, sql, params) })
  )
)

/** The column in which a server that is not alone marks the rows that it keeps online. */
const marked = (kinds: PresenceKinds): PresenceKinds =>
  Object.fromEntries(Object.entries(kinds).map(([name, kind]) => [name, { ...kind, servedBy: "servedBy" }]))

const replica = (place: string) =>
  Layer.scoped(
    Replica,
    PostgresReplica.make().pipe(
      Effect.catchTag("ReplicaInvalid", Effect.die),
      Effect.mapError(({ _tag, message }) => new PostgresUnreachable({ place, code: _tag, reason: message }))
    )
  )

const presenceStorage = ({ address, isShared, storage }: Pick<Options, "address" | "isShared" | "storage">) =>
  (isShared
    ? PostgresPresenceStorage.layer({ ...storage, kinds: marked(storage.kinds) }).pipe(
        Layer.provide(replica(address.place))
      )
    : PostgresPresenceStorage.layer(storage)
  ).pipe(Layer.provide(presenceReader))

/**
 * The lock and the schema first, then the connections that write and those that read, then the storage of presence on
 * them.
 */
export const layer = ({
  address,
  isShared,
  migration,
  policy,
  readConnections,
  setup,
  storage,
  writeConnections
}: Options): Layer.Layer<
  Writer | DatabaseReader | DatabaseState | PresenceStorage | InstanceLock,
  PostgresDatabaseFailure
> => {
  const schema = Layer.effectDiscard(PostgresMigrator.migrate(address, migration)).pipe(
    Layer.provideMerge(DatabaseLock.layer({ address, isShared }))
  )
  const engine = PostgresEngine.layer({
    url: Redacted.value(address.url),
    connections: writeConnections,
    applicationName: serverName,
    setup
  }).pipe(Layer.provideMerge(schema))
  const reader = Layer.scoped(
    DatabaseReader,
    PostgresReads.make({ address, connections: readConnections, applicationName: serverName })
  )
  return presenceStorage({ address, isShared, storage }).pipe(
    Layer.provideMerge(PostgresWriter.layer(policy)),
    Layer.provideMerge(PostgresState.layer(address.place)),
    Layer.provideMerge(Layer.provideMerge(reader, engine))
  )
}
