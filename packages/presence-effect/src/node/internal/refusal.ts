/** A fault on its way to the answer of a thread. */
import { isFault } from "../../sqlite/internal/resultCode.ts"
import type { Fault } from "../../writer/SqliteConnection.ts"
import { type Failed, failed } from "./sqliteThreadProtocol.ts"

/** Raised between the connection and the engine only; crosses their border as a fault. */
export class Refusal {
  readonly fault: Fault
  constructor(fault: Fault) {
    this.fault = fault
  }
}

/** The answer of `body`, or the fault that it raised. */
export const orFailed = <A>(body: () => A): A | Failed => {
  try {
    return body()
  } catch (refusal) {
    if (refusal instanceof Refusal) return failed(refusal.fault)
    throw refusal
  }
}

/** What `make` opened, or the fault for which it did not. */
export const opened = <A>(make: () => A): A | Failed => {
  try {
    return make()
  } catch (fault) {
    if (isFault(fault)) return failed(fault)
    throw fault
  }
}
