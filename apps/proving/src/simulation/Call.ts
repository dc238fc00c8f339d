/** One call of the writer, as the simulation sees it from outside. */
import type { Lane } from "presence-effect/writer/Lane"
import type { Statement } from "presence-effect/writer/Write"
import type { Operation } from "./Coverage.ts"

/** A broken guarantee. Its message contains which one, for which call or row, and when. */
export class Violation extends Error {
  override readonly name = "Violation"
}

/** The caller that waits for an answer, and can disconnect. */
export interface Asker {
  readonly hangUp: () => void
}

export interface Call {
  readonly number: number
  readonly lane: Lane
  readonly operation: Operation
  /** The mark that the write leaves in the ledger each time it is applied. */
  readonly mark: string | undefined
  /** None: a fiber of the layer itself. */
  readonly asker: Asker | undefined
  readonly calledAtMillis: number
  /** How long the process had been suspended before, so that later suspensions can be subtracted. */
  readonly pausedBeforeMillis: number
  isOpen: boolean
  /** Times it held the permit. */
  holdCount: number
  holdsSinceMillis: number | undefined
  /** The hold before this one, or the one that is over. */
  lastHold: { readonly sinceMillis: number; readonly untilMillis: number } | undefined
  /** The error codes with which the engine answered it. */
  readonly codes: Set<string>
  /** Grants to other calls since its lane was served, while it waited. */
  passedOver: number
  /** Without the time in which the process was suspended. */
  hungUpAtMillis: number | undefined
}

export const show = ({ lane, mark, number, operation }: Call): string =>
  `call ${number} (${mark ?? operation}, lane ${lane})`

/** The write carries its purpose: handlers mark theirs, the layer's own statements are recognized by their SQL. */
export const operationOf = (
  lane: Lane,
  statements: ReadonlyArray<Statement>
): { readonly operation: Operation; readonly mark: string | undefined } => {
  const [first] = statements
  const mark = first?.params[0]
  if (first?.sql.includes('"Ledger"') === true && typeof mark === "string") {
    return { operation: mark.split(":")[0] as Operation, mark }
  }
  if (statements.some(({ sql }) => sql.includes("WITH entry(id, account, seen"))) {
    return { operation: lane === "presence" ? "flush" : "end", mark: undefined }
  }
  return { operation: "sweep", mark: undefined }
}
