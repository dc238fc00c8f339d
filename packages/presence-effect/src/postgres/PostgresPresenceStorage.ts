/**
 * Presence in PostgreSQL: one statement per table and chunk, which never waits
 * for a row.
 *
 * @example
 * import * as Layer from "effect/Layer"
 * import * as PostgresPresenceStorage from "presence-effect/postgres/PostgresPresenceStorage"
 *
 * const kinds = { device: { accountId: "owner" } }
 * console.log(PostgresPresenceStorage.defaults.lane) // presence
 * console.log(Layer.isLayer(PostgresPresenceStorage.layer({ kinds }))) // true
 *
 * @since 0.4.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as ServerStorage from "../node/internal/serverStorage.ts"
import type { StorageUnreadable } from "../presence/PresenceStorage.ts"
import { PresenceStorage } from "../presence/PresenceStorage.ts"
import { Replica } from "../presence/Replica.ts"
import type { Options, StorageInvalid } from "../sqlite/SqlitePresenceStorage.ts"
import { PresenceReader } from "../sqlite/SqlitePresenceStorage.ts"
import * as Lane from "../writer/Lane.ts"
import { Writer } from "../writer/Writer.ts"
import * as PresenceTable from "./internal/presenceTable.ts"

/**
 * A thousand rows in a chunk: a round trip costs as much as a hundred rows.
 *
 * @category presets
 * @since 0.4.0
 */
export const defaults: Omit<Options, "kinds"> = {
  chunkRows: 1_000,
  chunkHold: "100 millis",
  lane: Lane.presence,
  endLane: Lane.control
}

/**
 * **Details**
 *
 * - Reads the catalog once, so the tables must exist: their columns, with their types, and their indexes.
 * - Ids and accounts may be `text`, `varchar`, `uuid` or whole numbers, `active` a boolean or a whole number, and
 *   `lastActiveAt` a `bigint` of epoch milliseconds, or a timestamp. The type decides: `timeForm` is not read.
 * - A row that another transaction holds is `deferred`. So no flush waits for a lock, and two replicas that write the
 *   same rows cannot end in a deadlock.
 * - With a `Replica` beside the writer (`PostgresReplica.layer`), which kinds with `servedBy` need, several replicas
 *   share the tables: see `SharedStorage`. Times are then stored by the clock of the database.
 * - An id that the column cannot hold, such as one with a NUL, has no row: it is `missing`.
 * - A failure has the tag of its `WriterError` as `reason`, and the error itself as `cause`.
 *
 * **Errors**
 *
 * - `StorageInvalid`: no kind, an option that cannot be a name, a table or a column that is not there or has a type
 *   that does not fit, a kind with `servedBy` and no `Replica`, a table without an index on the key or in which a key
 *   may name several rows, or a lane that the policy does not have; or a size is out of range.
 * - `StorageUnreadable`: the catalog could not be read.
 *
 * @category constructors
 * @since 0.4.0
 */
export const make = (
  given: Partial<Options> & Pick<Options, "kinds">
): Effect.Effect<PresenceStorage["Type"], StorageInvalid | StorageUnreadable, Writer | PresenceReader> =>
  Effect.gen(function* () {
    const options: Options = { ...defaults, ...given }
    const writer = yield* Writer
    const reader = yield* PresenceReader
    const replica = Option.getOrUndefined(yield* Effect.serviceOption(Replica))
    return yield* ServerStorage.make(
      options,
      writer,
      reader,
      (kind) => PresenceTable.open(reader, kind, options.kinds[kind] ?? {}, replica),
      replica
    )
  })

/**
 * @category layers
 * @since 0.4.0
 */
export const layer = (
  options: Partial<Options> & Pick<Options, "kinds">
): Layer.Layer<PresenceStorage, StorageInvalid | StorageUnreadable, Writer | PresenceReader> =>
  Layer.effect(PresenceStorage, make(options))
