/**
 * A PostgreSQL database as the server uses it. Loaded only when the configuration names one, and with it the driver.
 */
import { Effect, Layer, Redacted, Schema } from "effect"
import * as PostgresEngine from "presence-effect/postgres/PostgresEngine"
import * as PostgresPresenceStorage from "presence-effect/postgres/PostgresPresenceStorage"
import type { PresenceStorage, StorageUnreadable } from "presence-effect/presence/PresenceStorage"
import {
  type Options as StorageOptions,
  PresenceReader,
  type StorageInvalid
} from "presence-effect/sqlite/SqlitePresenceStorage"
import type { EngineFault } from "presence-effect/writer/Engine"
import type { Writer } from "presence-effect/writer/Writer"
import type { PolicyInvalid, WriterPolicy } from "presence-effect/writer/WriterPolicy"
import { DatabaseReader } from "../database/DatabaseReader.ts"
import type { DatabaseState } from "../database/DatabaseState.ts"
import { type PostgresAddress, serverName } from "../PostgresAddress.ts"
import * as PostgresMigrator from "./PostgresMigrator.ts"
import * as PostgresReads from "./PostgresReads.ts"
import * as PostgresState from "./PostgresState.ts"
import * as PostgresWriter from "./PostgresWriter.ts"

export interface Options {
  readonly address: PostgresAddress
  /** How many connections write, at least two. */
  readonly writeConnections: number
  /** How many connections read, at least three. */
  readonly readConnections: number
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

/** The schema first, then the connections that write and those that read, then the storage of presence on them. */
export const layer = ({
  address,
  migration,
  policy,
  readConnections,
  storage,
  writeConnections
}: Options): Layer.Layer<
  Writer | DatabaseReader | DatabaseState | PresenceStorage,
  PostgresMigrator.PostgresMigrationError | EngineFault | PolicyInvalid | StorageInvalid | StorageUnreadable
> => {
  const engine = PostgresEngine.layer({
    url: Redacted.value(address.url),
    connections: writeConnections,
    applicationName: serverName
  }).pipe(Layer.provide(Layer.effectDiscard(PostgresMigrator.migrate(address, migration))))
  const reader = Layer.scoped(
    DatabaseReader,
    PostgresReads.make({ address, connections: readConnections, applicationName: serverName })
  )
  return Layer.provide(PostgresPresenceStorage.layer(storage), presenceReader).pipe(
    Layer.provideMerge(PostgresWriter.layer(policy)),
    Layer.provideMerge(PostgresState.layer(address.place)),
    Layer.provideMerge(Layer.provideMerge(reader, engine))
  )
}
