/**
 * A replica whose lease is in the table `Replica` of a PostgreSQL: see
 * `PostgresTables.replicaDdl`.
 *
 * @example
 * import * as Layer from "effect/Layer"
 * import * as Presence from "presence-effect/Presence"
 * import * as PostgresEngine from "presence-effect/postgres/PostgresEngine"
 * import * as PostgresPresenceStorage from "presence-effect/postgres/PostgresPresenceStorage"
 * import * as PostgresReader from "presence-effect/postgres/PostgresReader"
 * import * as PostgresReplica from "presence-effect/postgres/PostgresReplica"
 * import * as Writer from "presence-effect/writer/Writer"
 *
 * class Devices extends Presence.Tag("example/Devices", { device: { servedBy: "servedBy" } })<Devices>() {}
 *
 * const url = "postgres://app@db.internal/devices"
 * const devices = Presence.layer(Devices).pipe(
 *   Layer.provide(PostgresPresenceStorage.layer({ kinds: Devices.kinds })),
 *   Layer.provide(PostgresReplica.layer()),
 *   Layer.provide(PostgresReader.layer({ url, connections: 2 })),
 *   Layer.provideMerge(Writer.layer()),
 *   Layer.provide(PostgresEngine.layer({ url }))
 * )
 * console.log(Layer.isLayer(devices)) // true
 *
 * @since 0.4.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as ServerLease from "../node/internal/serverLease.ts"
import * as Replica from "../presence/Replica.ts"
import type { Lane } from "../writer/Lane.ts"
import * as Lanes from "../writer/Lane.ts"
import { Writer } from "../writer/Writer.ts"
import type { WriterError } from "../writer/WriterError.ts"
import { leases } from "./internal/leaseSql.ts"

/**
 * @category models
 * @since 0.4.0
 */
export interface PostgresReplicaOptions extends Replica.ReplicaOptions {
  /** Lane of the beats. Default: `control`, so that presence that queues cannot cost the lease. */
  readonly lane: Lane
}

/**
 * Begins the lease of this process, and renews it. Build it once per process and database, whatever the number of
 * storages over it.
 *
 * **Details**
 *
 * - Every time in the table is that of the database: the clocks of the replicas may differ.
 * - A lease that has ended is removed an hour later.
 *
 * **Errors**: `ReplicaInvalid`, or the `WriterError` of the first write: `WriteRejected` when the table is not there.
 *
 * @category constructors
 * @since 0.4.0
 */
export const make = (
  options: Partial<PostgresReplicaOptions> = {}
): Effect.Effect<Replica.Replica["Type"], Replica.ReplicaInvalid | WriterError, Writer | Scope.Scope> =>
  Effect.flatMap(Writer, (writer) =>
    Replica.make(ServerLease.make(writer, options.lane ?? Lanes.control, leases), options)
  )

/**
 * @category layers
 * @since 0.4.0
 */
export const layer = (
  options?: Partial<PostgresReplicaOptions>
): Layer.Layer<Replica.Replica, Replica.ReplicaInvalid | WriterError, Writer> =>
  Layer.scoped(Replica.Replica, make(options))
