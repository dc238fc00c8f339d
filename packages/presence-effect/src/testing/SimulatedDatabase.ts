/**
 * A simulated connection with a real database behind it: latency, faults and
 * locks on virtual time, and SQLite that runs the statements.
 *
 * For tests of presence and of a host's own statements. The statements of the
 * library and of the host run as in production, so a test describes rows, never
 * SQL of the library.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import * as SimulatedDatabase from "presence-effect/testing/SimulatedDatabase"
 *
 * const test = Effect.gen(function* () {
 *   const database = yield* SimulatedDatabase.make({
 *     schema: "CREATE TABLE Job (id INTEGER PRIMARY KEY, state TEXT NOT NULL)",
 *     latency: "20 millis"
 *   })
 *   database.execute("INSERT INTO Job VALUES (1, 'waiting')")
 *   return database.query("SELECT state FROM Job WHERE id = ?", [1])
 * })
 *
 * Effect.runPromise(Effect.scoped(test)).then(console.log)
 *
 * @since 0.3.0
 */
import Database from "better-sqlite3"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { engineOptions } from "../node/internal/opening.ts"
import * as Engine from "../node/internal/sqliteEngine.ts"
import * as SqliteReader from "../node/SqliteReader.ts"
import { PresenceReader } from "../sqlite/SqlitePresenceStorage.ts"
import { EngineFault, type SqliteConnection } from "../writer/SqliteConnection.ts"
import type { Row, SqlValue } from "../writer/Write.ts"
import * as SimulatedConnection from "./SimulatedConnection.ts"

/**
 * @category models
 * @since 0.3.0
 */
export interface SimulatedDatabaseOptions extends Omit<
  SimulatedConnection.SimulatedOptions,
  "evaluate" | "evaluateGroup" | "space"
> {
  /** SQL that makes the tables: any number of statements. */
  readonly schema: string
}

/**
 * @category models
 * @since 0.3.0
 */
export interface SimulatedDatabase {
  /** Latency, faults, locks, and the record of what was committed. */
  readonly engine: SimulatedConnection.SimulatedConnection
  /** The write side of `engine`, and the read side of presence. Reads take no time. */
  readonly layer: Layer.Layer<SqliteConnection | PresenceReader>
  /**
   * Changes the database at once, from a connection of its own: declares the rows that a test starts with. Without
   * `params` the text may hold several statements.
   *
   * Throws the error of the driver.
   */
  readonly execute: (sql: string, params?: ReadonlyArray<SqlValue>) => void
  /** Rows of one statement that reads, from a connection of its own. Throws the error of the driver. */
  readonly query: (sql: string, params?: ReadonlyArray<SqlValue>) => ReadonlyArray<Row>
}

const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "presence-effect-simulated-"))),
  (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
)

/** The connection of the test itself, which makes the tables. Throws the error of the driver. */
const openOwn = (filename: string, schema: string) => {
  const own = new Database(filename, { timeout: 0 })
  own.pragma("journal_mode = WAL")
  // Nothing here has to survive a crash.
  own.pragma("synchronous = OFF")
  try {
    own.exec(schema)
    return own
  } catch (error) {
    own.close()
    throw error
  }
}

/**
 * Makes a database with the tables of `schema` in a temporary file, which is
 * removed when the scope closes.
 *
 * **Details**
 *
 * - Time is virtual as in `SimulatedConnection`: a call takes `latency`, and `statementLatency` for each statement.
 *   SQLite runs the statements at the end of that time.
 * - A commit does not wait for the disk, whatever its durability. `engine.committed` says which was asked for.
 * - A group behaves as on `SqliteThread`: its writes have savepoints, and one that fails takes no other with it.
 *
 * **Errors**: `EngineFault` when `schema` is refused or the file cannot be made.
 *
 * @category constructors
 * @since 0.3.0
 */
export const make = (options: SimulatedDatabaseOptions): Effect.Effect<SimulatedDatabase, EngineFault, Scope.Scope> =>
  Effect.gen(function* () {
    const { schema, ...script } = options
    const filename = path.join(yield* temporaryDirectory, "simulated.sqlite")
    const own = yield* Effect.acquireRelease(
      Effect.try({
        try: () => openOwn(filename, schema),
        catch: (cause) =>
          new EngineFault({ reason: "Rejected", code: "SCHEMA", detail: String(cause), phase: "queued" })
      }),
      (database) => Effect.sync(() => database.close())
    )
    const opened = Engine.open(engineOptions({ filename }))
    if (!(opened instanceof Engine.Engine)) return yield* new EngineFault(opened.fault)
    yield* Effect.addFinalizer(() => Effect.sync(() => opened.close()))
    const reader = yield* SqliteReader.make({ filename })
    const engine = yield* SimulatedConnection.make({
      ...script,
      evaluateGroup: (group) => {
        // No crash of the system is simulated, so the disk need not be waited for.
        const reply = opened.run(group, "process-crash")
        return reply._tag === "Failed" ? new EngineFault(reply.fault) : reply.answers
      }
    })
    return {
      engine,
      layer: Layer.merge(engine.layer, Layer.succeed(PresenceReader, reader)),
      execute: (sql, params) => {
        if (params === undefined) own.exec(sql)
        else own.prepare(sql).run(...params)
      },
      query: (sql, params = []) => own.prepare<Array<SqlValue>, Row>(sql).all(...params)
    }
  })
