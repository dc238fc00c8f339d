/** What goes wrong in the engine, as plain data that crosses threads. */

/** An `EngineFault` as plain data. */
export interface Fault {
  readonly code: string
  readonly detail: string
  readonly phase: "queued" | "begin" | "statement" | "commit"
  readonly conflict?: { readonly statement: number; readonly expected: "some" | number; readonly changed: number }
  /** The engine has stopped: it answers every later call with this fault, and touches the file no more. */
  readonly isFinal?: boolean
}

export const isFault = (reply: object): reply is Fault => "phase" in reply

export const codeOf = (cause: unknown): string => {
  const code = typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined
  return typeof code === "string" ? code : "SQLITE_ERROR"
}

export const faultOf = (cause: unknown, phase: Fault["phase"]): Fault =>
  // A connection that cannot be opened again throws a fault already.
  typeof cause === "object" && cause !== null && isFault(cause)
    ? { ...cause, phase }
    : { code: codeOf(cause), detail: cause instanceof Error ? cause.message : String(cause), phase }
