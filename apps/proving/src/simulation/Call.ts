/** One caller of the writer, as the simulation sees it from outside. */
import type { Lane } from "presence-effect/writer/Lane"
import type { Statement } from "presence-effect/writer/Write"
import type { Operation } from "./Coverage.ts"

/** A promise that was not kept. Its message says which, for whom and when. */
export class Violation extends Error {
  override readonly name = "Violation"
}

/** Who waits for an answer, and can hang up. */
export interface Asker {
  readonly hangUp: () => void
}

export interface Call {
  readonly number: number
  readonly lane: Lane
  readonly operation: Operation
  /** What the write leaves in the ledger each time it is applied. */
  readonly mark: string | undefined
  /** None: a fiber of the layer itself. */
  readonly asker: Asker | undefined
  readonly calledAtMillis: number
  /** How long the process had stood still before, so that what it stood still since can be forgiven. */
  readonly pausedBeforeMillis: number
  isOpen: boolean
  /** Times it held the permit. */
  holdCount: number
  holdsSinceMillis: number | undefined
  /** The hold before this one, or the one that is over. */
  lastHold: { readonly sinceMillis: number; readonly untilMillis: number } | undefined
  /** Codes with which the engine answered it. */
  readonly codes: Set<string>
  /** Holds of others since its lane was served, while it waited. */
  passedOver: number
  /** Without the time in which the process stood still. */
  hungUpAtMillis: number | undefined
}

export const show = ({ lane, mark, number, operation }: Call): string =>
  `call ${number} (${mark ?? operation}, lane ${lane})`

/** The write says what it is for: handlers mark theirs, the layer's own statements speak for themselves. */
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
