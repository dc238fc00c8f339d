/**
 * What a commit survives.
 *
 * @example
 * import { strictEqual } from "node:assert/strict"
 * import * as Durability from "presence-effect/writer/Durability"
 *
 * // Writes that share a commit: it keeps the promise of each.
 * strictEqual(Durability.stricter("process-crash", "power-loss"), "power-loss")
 * strictEqual(Durability.stricter(undefined, "process-crash"), "process-crash")
 *
 * @since 0.1.0
 */

/**
 * `power-loss` waits for the disk (`synchronous=FULL`), `process-crash` does
 * not (`synchronous=NORMAL`).
 *
 * **Source**: https://sqlite.org/pragma.html#pragma_synchronous
 *
 * @category models
 * @since 0.1.0
 */
export type Durability = "power-loss" | "process-crash"

/**
 * The durability that keeps both promises. `undefined` promises nothing by
 * itself.
 *
 * @category combinators
 * @since 0.1.0
 */
export const stricter = (self: Durability | undefined, that: Durability | undefined): Durability | undefined =>
  self === "power-loss" || that === "power-loss" ? "power-loss" : (self ?? that)
