/**
 * Faults of the connection made from SQLite's result codes.
 *
 * @since 0.2.0
 */
import { EngineFault, type Fault } from "../writer/SqliteConnection.ts"
import * as ResultCode from "./internal/resultCode.ts"

/**
 * The fault for a result code: for a host that stops the connection because its
 * own reads met damage, and for scripted engines.
 *
 * @example
 * import * as SqliteFault from "presence-effect/sqlite/SqliteFault"
 *
 * const fault = SqliteFault.make({ code: "SQLITE_CORRUPT", detail: "met by a reader", phase: "queued" })
 *
 * console.log(fault.reason === "Corrupt")
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (fault: Omit<Fault, "reason">): EngineFault => new EngineFault(ResultCode.faultOfCode(fault))
