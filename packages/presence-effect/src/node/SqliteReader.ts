/**
 * The read side of presence on a file: one read-only connection in the calling
 * thread.
 *
 * In WAL mode a reader neither waits for a writer nor delays one. Presence reads
 * when its layer is built and once per sweep, in pages, so the event loop can
 * spare the time.
 *
 * @example
 * import Database from "better-sqlite3"
 * import * as Effect from "effect/Effect"
 * import { deepStrictEqual } from "node:assert/strict"
 * import { mkdtempSync, rmSync } from "node:fs"
 * import { tmpdir } from "node:os"
 * import { join } from "node:path"
 * import * as SqliteReader from "presence-effect/node/SqliteReader"
 * import { PresenceReader } from "presence-effect/sqlite/SqlitePresenceStorage"
 *
 * const folder = mkdtempSync(join(tmpdir(), "example-"))
 * const filename = join(folder, "app.sqlite")
 * const writer = new Database(filename)
 * writer.pragma("journal_mode = WAL")
 * writer.exec("CREATE TABLE Machine (id TEXT PRIMARY KEY); INSERT INTO Machine (id) VALUES ('m')")
 *
 * const select = Effect.flatMap(PresenceReader, ({ query }) => query("SELECT id FROM Machine WHERE id = ?", ["m"]))
 * deepStrictEqual(await Effect.runPromise(Effect.provide(select, SqliteReader.layer({ filename }))), [{ id: "m" }])
 * writer.close()
 * rmSync(folder, { recursive: true })
 *
 * @since 0.1.0
 */
import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { EngineFault } from "../writer/SqliteConnection.ts"
import * as ResultCode from "../sqlite/internal/resultCode.ts"
import { PresenceReader } from "../sqlite/SqlitePresenceStorage.ts"
import * as OpenFailure from "./internal/openFailure.ts"
import type { SqliteOptions } from "./SqliteOptions.ts"

const faultOf = (cause: unknown): EngineFault => new EngineFault(ResultCode.faultOf(cause, "queued"))

const openFaultOf = (filename: string, cause: unknown): EngineFault =>
  new EngineFault(OpenFailure.explained(filename, ResultCode.faultOf(cause, "queued")))

/**
 * **Errors**: `EngineFault` when the file cannot be opened for reading. It must
 * exist, with its schema, and be in WAL mode: open the write connection first.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: Pick<SqliteOptions, "filename">
): Effect.Effect<PresenceReader["Type"], EngineFault, Scope.Scope> =>
  Effect.gen(function* () {
    const sql = yield* SqliteClient.make({ filename: options.filename, readonly: true, disableWAL: true }).pipe(
      Effect.provide(Reactivity.layer),
      // The client throws what it cannot open.
      Effect.catchAllDefect((defect) => Effect.fail(openFaultOf(options.filename, defect)))
    )
    // The client opens with better-sqlite3's 5 s, which would block the event loop. Reads are repeated later instead.
    yield* Effect.mapError(sql.unsafe("PRAGMA busy_timeout = 0"), ({ cause }) => faultOf(cause))
    return PresenceReader.of({ query: (text, params) => sql.unsafe(text, params) })
  })

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Pick<SqliteOptions, "filename">): Layer.Layer<PresenceReader, EngineFault> =>
  Layer.scoped(PresenceReader, make(options))

/**
 * Reads through an `@effect/sql` client. Give it a client of its own, opened
 * with `readonly` after the migrations: a statement that failed to prepare stays
 * failed in that client's cache.
 *
 * @category layers
 * @since 0.4.0
 */
export const layerClient: Layer.Layer<PresenceReader, never, SqlClient.SqlClient> = Layer.effect(
  PresenceReader,
  Effect.map(SqlClient.SqlClient, (sql) => PresenceReader.of({ query: (text, params) => sql.unsafe(text, params) }))
)
