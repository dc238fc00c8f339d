/**
 * Presence in SQLite: one CASE-UPDATE per table and chunk.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import { deepStrictEqual } from "node:assert/strict"
 * import * as FlushBatch from "presence-effect/presence/FlushBatch"
 * import { PresenceStorage } from "presence-effect/presence/PresenceStorage"
 * import * as PresenceTables from "presence-effect/sqlite/PresenceTables"
 * import * as SqlitePresenceStorage from "presence-effect/sqlite/SqlitePresenceStorage"
 * import * as SimulatedDatabase from "presence-effect/testing/SimulatedDatabase"
 * import * as SqliteWriter from "presence-effect/writer/SqliteWriter"
 *
 * const kinds = { device: {} }
 * const batch = FlushBatch.make([{ kind: "device", id: "phone", seenAtMillis: 1_000, state: "alive" }])
 * const program = Effect.gen(function* () {
 *   const database = yield* SimulatedDatabase.make({ schema: PresenceTables.ddl(kinds) })
 *   database.execute("INSERT INTO device (id) VALUES ('phone')")
 *   const storage = SqlitePresenceStorage.layer({ kinds }).pipe(
 *     Layer.provide(SqliteWriter.layer()),
 *     Layer.provide(database.layer)
 *   )
 *   yield* Effect.provide(
 *     Effect.flatMap(PresenceStorage, ({ flush }) => flush(batch)),
 *     storage
 *   )
 *   deepStrictEqual(database.query("SELECT active, lastActiveAt FROM device"), [{ active: 1, lastActiveAt: 1_000 }])
 * })
 * await Effect.runPromise(Effect.scoped(program))
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as chunkedFlush from "./internal/chunkedFlush.ts"
import * as kindTables from "./internal/kindTables.ts"
import * as rowWrites from "./internal/rowWrites.ts"
import * as stalePages from "./internal/stalePages.ts"
import * as storageOptions from "./internal/storageOptions.ts"
import * as Lane from "../writer/Lane.ts"
import type { PresenceKinds } from "../presence/PresenceKind.ts"
import type { StorageUnreadable } from "../presence/PresenceStorage.ts"
import { PresenceStorage } from "../presence/PresenceStorage.ts"
import { SqliteWriter } from "../writer/SqliteWriter.ts"

/**
 * The read side: any client of the same file that only reads. It never waits
 * for the permit.
 *
 * @category services
 * @since 0.1.0
 */
export class PresenceReader extends Context.Tag("presence-effect/PresenceReader")<
  PresenceReader,
  {
    /** Rows of one statement with positional parameters. */
    readonly query: (
      sql: string,
      params: ReadonlyArray<string | number>
    ) => Effect.Effect<ReadonlyArray<unknown>, unknown>
  }
>() {}

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The kinds to store, with the names of their tables and columns. */
  readonly kinds: PresenceKinds
  /** Rows of the first chunk, over all tables. It adapts between 50 and 2 000. */
  readonly chunkRows: number
  /** How long one chunk may hold the writer. */
  readonly chunkHold: Duration.DurationInput
  /** Lane of a flush that names none, and of the sweep. */
  readonly lane: Lane.Lane
  /** Lane that single rows are flushed in when they end. Only checked here. */
  readonly endLane: Lane.Lane
}

/**
 * 250 rows hold the writer for about 3 ms on a small box.
 *
 * @category presets
 * @since 0.1.0
 */
export const defaults: Omit<Options, "kinds"> = {
  chunkRows: 250,
  chunkHold: "3 millis",
  lane: Lane.presence,
  endLane: Lane.control
}

/**
 * Options that cannot be used. The message names the option.
 *
 * @category errors
 * @since 0.1.0
 */
export class StorageInvalid extends Schema.TaggedError<StorageInvalid>("presence-effect/StorageInvalid")(
  "StorageInvalid",
  {
    problems: Schema.NonEmptyArray(Schema.String),
    /** The database file, when its tables are the problem. */
    file: Schema.optional(Schema.String)
  }
) {
  /** @since 0.1.0 */
  override get message(): string {
    const place = this.file === undefined ? "" : ` in ${this.file}`
    return `invalid presence storage${place}:\n${this.problems.map((problem) => `- ${problem}`).join("\n")}`
  }
}

const chunkRowsMin = 50
const chunkRowsMax = 2_000

/**
 * The size of the next chunk after one of `rowCount` rows held the writer for
 * `holdMillis`. It goes half the way to what would have met the target, at most
 * to the double or the half of `size`, and grows only after a full chunk: a small
 * one is a poor estimate for a big one.
 *
 * @category getters
 * @since 0.1.0
 */
export const nextChunkRows = (size: number, rowCount: number, holdMillis: number, targetMillis: number): number => {
  const fit = holdMillis <= 0 ? size * 2 : (rowCount * targetMillis) / holdMillis
  if (fit > size && rowCount < size) return size
  const next = Math.round((size + Math.min(size * 2, Math.max(size / 2, fit))) / 2)
  return Math.min(chunkRowsMax, Math.max(chunkRowsMin, next))
}

/**
 * **Details**
 *
 * - Reads the tables once, so they must exist: their columns, their indexes and the form of their times.
 * - Durations are decoded once, here.
 * - A failure has the tag of its `WriterError` as `reason`, and the error itself as `cause`.
 *
 * **Errors**
 *
 * - `StorageInvalid`: no kind, an option that cannot be a name, a table or a column that is not there, a table without
 *   an index on the key or in which a key may name several rows, or a lane that the policy does not have; or a size is
 *   out of range.
 * - `StorageUnreadable`: the tables could not be read.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  given: Partial<Options> & Pick<Options, "kinds">
): Effect.Effect<PresenceStorage["Type"], StorageInvalid | StorageUnreadable, SqliteWriter | PresenceReader> =>
  Effect.gen(function* () {
    const options: Options = { ...defaults, ...given }
    const writer = yield* SqliteWriter
    const reader = yield* PresenceReader
    const [problem, ...others] = storageOptions.problems(options, writer.policy)
    if (problem !== undefined) return yield* new StorageInvalid({ problems: [problem, ...others] })
    const tables = yield* kindTables
      .open(reader, options.kinds)
      .pipe(Effect.catchTag("Unfit", ({ file, problems }) => new StorageInvalid({ problems, file })))

    return PresenceStorage.of({
      flush: chunkedFlush.make(writer, tables, rowWrites.flushWrite, options, nextChunkRows),
      findStale: (kind, believable, limit, after) =>
        Effect.suspend(() => stalePages.find(reader, tables.tableOf(kind), believable, limit, after)),
      markOffline: (keys, believable) =>
        Effect.suspend(() => {
          if (keys.length === 0) return Effect.succeed([])
          const write = tables.writeAll(keys, (table, part) => rowWrites.offlineWrite(table, part, believable))
          return Effect.mapBoth(writer.write(options.lane, write), {
            onFailure: chunkedFlush.failed,
            onSuccess: (changed) => changed.flat()
          })
        })
    })
  })

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: Partial<Options> & Pick<Options, "kinds">
): Layer.Layer<PresenceStorage, StorageInvalid | StorageUnreadable, SqliteWriter | PresenceReader> =>
  Layer.effect(PresenceStorage, make(options))
