/** What MySQL, MariaDB and their driver say about a failure, as a fault. */
import type { Fault, FaultReason } from "../../writer/Engine.ts"

/** By the number of the error. https://mariadb.com/kb/en/mariadb-error-codes/ */
const reasons: ReadonlyMap<number, FaultReason> = new Map<number, FaultReason>([
  // A lock that was waited for too long, a deadlock, a lock that is not free, a statement that met its time limit.
  ...[1205, 1213, 3572, 1969, 3024, 1317].map((errno) => [errno, "Busy"] as const),
  ...[1021, 1114, 1041].map((errno) => [errno, "Full"] as const),
  ...[1290, 1836, 1792].map((errno) => [errno, "Readonly"] as const),
  ...[1030, 1026, 1023].map((errno) => [errno, "InputOutput"] as const),
  ...[1034, 1035, 1194, 1195].map((errno) => [errno, "Corrupt"] as const),
  ...[1044, 1045, 1049, 1698].map((errno) => [errno, "Gone"] as const),
  // Connections that break or are refused, a server that starts, stops or has too many of them.
  ...[1040, 1043, 1053, 1077, 1079, 1080, 1152, 1159, 1161, 1203, 1226, 1927, 2006, 2013, 4031].map(
    (errno) => [errno, "Lost"] as const
  )
])

/** Errors whose name the driver does not know. */
const names: ReadonlyMap<unknown, string> = new Map([[4025, "ER_CONSTRAINT_FAILED"]])

const fieldsOf = (cause: unknown): { readonly [name: string]: unknown } => Object(cause)

export const faultOf = (cause: unknown, phase: Fault["phase"]): Fault => {
  const { code, errno, fatal, sqlState } = fieldsOf(cause)
  const detail = cause instanceof Error ? cause.message : String(cause)
  const name = names.get(errno) ?? (typeof code === "string" ? code : "LOST")
  // A failure of the socket has a number too, that of the system.
  if (typeof errno !== "number" || typeof sqlState !== "string") return { reason: "Lost", code: name, detail, phase }
  const reason = reasons.get(errno) ?? (fatal === true ? "Lost" : "Rejected")
  return { reason, code: name, detail, phase }
}

/** A deadlock rolls the whole transaction back, and so may a lock that was waited for too long. */
export const endsTransaction = ({ code }: Fault): boolean =>
  code === "ER_LOCK_DEADLOCK" || code === "ER_LOCK_WAIT_TIMEOUT"
