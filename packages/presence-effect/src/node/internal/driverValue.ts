/** Values on their way into the driver and out of it: integers stay integers, and none is rounded. */
import type { Row, SqlValue } from "../../writer/Write.ts"

/** The driver binds every number as a real: an integer stays one, also in a column without a type. */
export const bound = (value: unknown): unknown => (Number.isSafeInteger(value) ? BigInt(value as number) : value)

/** The driver reads all integers as bigints here: those that fit are numbers, and no other is rounded. */
export const exact = (value: SqlValue): SqlValue =>
  typeof value === "bigint" && value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER
    ? Number(value)
    : value

export const exactRow = (row: Row): Row => {
  const read: Record<string, SqlValue> = {}
  for (const column of Object.keys(row)) read[column] = exact(row[column] ?? null)
  return read
}
