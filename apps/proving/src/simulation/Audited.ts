/** A simulation that auditors watch: it ends at the first guarantee that is broken. */
import { Violation } from "./Call.ts"
import type * as Trace from "./Trace.ts"

export abstract class Audited {
  abstract readonly trace: Trace.Trace
  private broken: Violation | undefined

  /** Runs a check of an auditor. The first that fails ends the simulation; a fiber of the library never sees it. */
  audit(check: () => void): void {
    try {
      check()
    } catch (failure) {
      if (!(failure instanceof Violation)) throw failure
      if (this.broken === undefined) this.trace.note(`VIOLATION  ${failure.message}`)
      this.broken ??= failure
    }
  }

  violation(): Violation | undefined {
    return this.broken
  }
}
