/**
 * The contract of a write connection, as a suite for the tests of its author.
 *
 * For adapters of `SqliteConnection` to another engine that keeps a file in the
 * format of SQLite, in WAL mode. The suite looks at that file with `better-sqlite3`, from
 * connections of its own.
 *
 * @example
 * import { describe, it } from "node:test"
 * import * as SqliteInProcess from "presence-effect/node/SqliteInProcess"
 * import * as SqliteConnectionContract from "presence-effect/testing/SqliteConnectionContract"
 *
 * SqliteConnectionContract.suite({ describe, it }, "SqliteInProcess", (filename, options) =>
 *   SqliteInProcess.make({ filename, ...options })
 * )
 *
 * @since 0.3.0
 */
import * as Effect from "effect/Effect"
import type { ConnectionWorld } from "./internal/connectionWorld.ts"
import { compactionCases } from "./internal/compactionCases.ts"
import { connectionCases } from "./internal/connectionCases.ts"
import { runCases, type TestRunner } from "./internal/contractCase.ts"
import { finalFaultCases } from "./internal/finalFaultCases.ts"
import { setupCases } from "./internal/setupCases.ts"

/**
 * Registers the suite with `runner`: `describe` and `it` of Vitest, of Jest or of
 * `node:test`. It runs in real time, and each case makes a file of its own.
 *
 * **Details**: what the cases show
 *
 * - Writes: one commit per group, one answer per write, savepoints, demanded numbers of changes, durability, exact
 *   integers, refused statements that steer the transaction.
 * - The log: no checkpoint within a commit, copies and truncation on demand, no waiting for readers.
 * - Final faults: a file that is moved, replaced or damaged, a disk that fails twice, the reserve of a full disk.
 * - Compaction: free pages leave the file in steps.
 * - Setup: its statements prepare each connection, and a connection whose setup fails is not opened.
 *
 * `make` opens the connection on a file that exists or not, with `openTimeout`, `freeReserveBytes` and
 * `setup` of its options.
 *
 * @category suites
 * @since 0.3.0
 */
export const suite = (runner: TestRunner, name: string, make: ConnectionWorld["make"]): void => {
  const cases = [...connectionCases, ...finalFaultCases, ...compactionCases, ...setupCases]
  runCases(runner, `SqliteConnection: ${name}`, cases, (run) => Effect.scoped(run({ make })))
}

export type {
  /**
   * @category models
   * @since 0.3.0
   */
  TestRunner
} from "./internal/contractCase.ts"
