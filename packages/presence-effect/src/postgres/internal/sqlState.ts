/** What PostgreSQL and its driver say about a failure, as a fault. */
import type { Fault, FaultReason } from "../../writer/Engine.ts"

/** The first pattern decides. https://www.postgresql.org/docs/current/errcodes-appendix.html */
const reasons: ReadonlyArray<readonly [state: RegExp, reason: FaultReason]> = [
  // A serialization failure, a deadlock, a lock that is not free, a statement that met its time limit.
  [/^(40001|40P01|55P03|57014)$/, "Busy"],
  [/^53100$/, "Full"],
  [/^25006$/, "Readonly"],
  [/^(XX001|XX002)$/, "Corrupt"],
  [/^58/, "InputOutput"],
  [/^(28|3D000)/, "Gone"],
  // Connections that break or are refused, a server that starts, stops or has too many of them.
  [/^(08|57P0|53300|25P03|57P05)/, "Lost"],
  [/^(53|XX)/, "System"],
  [/^[0-9A-Z]{5}$/, "Rejected"]
]

const fieldsOf = (cause: unknown): { readonly [name: string]: unknown } => Object(cause)

/** The SQLSTATE that the server sent, if the failure is its word. */
const stateOf = (cause: unknown): string | undefined => {
  const { code, severity } = fieldsOf(cause)
  return typeof severity === "string" && typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) ? code : undefined
}

const detailOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

const reasonOf = (cause: unknown, state: string): FaultReason => {
  const reason = reasons.find(([pattern]) => pattern.test(state))?.[1] ?? "Unknown"
  const isFatal = /^(FATAL|PANIC)$/.test(String(fieldsOf(cause)["severity"]))
  // After a fatal error the server closes the connection.
  return isFatal && reason !== "Gone" ? "Lost" : reason
}

export const faultOf = (cause: unknown, phase: Fault["phase"]): Fault => {
  const state = stateOf(cause)
  if (state !== undefined) return { reason: reasonOf(cause, state), code: state, detail: detailOf(cause), phase }
  // The driver's own words: the connection broke, or could not be opened.
  const { code } = fieldsOf(cause)
  return { reason: "Lost", code: typeof code === "string" ? code : "LOST", detail: detailOf(cause), phase }
}
