/**
 * The contract of a storage of presence, as a suite for the tests of its author.
 *
 * For hosts that keep presence in another database than SQLite: implement
 * `PresenceStorage`, and run this suite over it.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import { describe, it } from "node:test"
 * import * as PresenceStorage from "presence-effect/presence/PresenceStorage"
 * import * as PresenceStorageContract from "presence-effect/testing/PresenceStorageContract"
 *
 * const makeWorld = Effect.sync(() => {
 *   const rows = PresenceStorage.memoryRows(PresenceStorageContract.kinds)
 *   const world: PresenceStorageContract.World = {
 *     storage: PresenceStorage.makeMemory(rows),
 *     insert: (kind, id, accountId, row) =>
 *       rows.set(kind, kind === "sensor" ? { id, ...row } : { id, accountId, ...row }),
 *     read: (kind, id, accountId = "a") => {
 *       const row = Array.from(rows.rowsOf(kind)).find(
 *         (row) => row.id === id && (kind !== "laptop" || row.accountId === accountId)
 *       )
 *       return row && { active: row.active, lastActiveMillis: row.lastActiveMillis }
 *     },
 *     chunkRows: 250
 *   }
 *   return world
 * })
 *
 * PresenceStorageContract.suite({ describe, it }, "memory", makeWorld)
 *
 * @since 0.4.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as TestContext from "effect/TestContext"
import { runCases, type TestRunner } from "./internal/contractCase.ts"
import { startMillis, storageCases } from "./internal/storageCases.ts"
import { caseWorld, contractKinds, type World } from "./internal/storageWorld.ts"

/**
 * The kinds that the storage of a world must know: the forms that a key can have, and a name that must be quoted.
 *
 * @category models
 * @since 0.4.0
 */
export const kinds = contractKinds

/**
 * Registers the suite with `runner`: `describe` and `it` of Vitest, of Jest or of
 * `node:test`. Each case makes a world of its own, on virtual time.
 *
 * **Details**: what the cases show
 *
 * - A stored time never moves back, except one that lies in the future.
 * - An end stays: a sign of life that is not newer does not activate the row.
 * - A row is taken offline only while nothing newer is stored.
 * - Rows that are missing or of another account are reported, and stay as they are.
 * - Stale rows are found page by page, and only what is still stale is marked.
 *
 * @category suites
 * @since 0.4.0
 */
export const suite = <E>(runner: TestRunner, name: string, make: Effect.Effect<World, E, Scope.Scope>): void => {
  runCases(runner, `PresenceStorage: ${name}`, storageCases, (run) =>
    TestClock.setTime(startMillis).pipe(
      Effect.zipRight(Effect.flatMap(make, (world) => run(caseWorld(world)))),
      Effect.scoped,
      Effect.provide(TestContext.TestContext)
    )
  )
}

export type {
  /**
   * @category models
   * @since 0.4.0
   */
  TestRunner
} from "./internal/contractCase.ts"

export type {
  /**
   * The names of `kinds`.
   *
   * @category models
   * @since 0.4.0
   */
  ContractKind,
  /**
   * What is stored of a row.
   *
   * @category models
   * @since 0.4.0
   */
  StoredRow,
  /**
   * A storage with the means to look behind it. A case begins with empty tables.
   *
   * @category models
   * @since 0.4.0
   */
  World
} from "./internal/storageWorld.ts"
