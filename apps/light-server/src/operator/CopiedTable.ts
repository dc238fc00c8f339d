/** A table that is copied from one database to another: its columns, and its values in one form for both. */
import { Either } from "effect"
import type { Value } from "../adoption/RowDigest.ts"
import type * as SchemaShape from "../adoption/SchemaShape.ts"
import * as StoredMillis from "../database/StoredMillis.ts"

/** What PostgreSQL has for a column. */
export type ColumnType = "bigint" | "boolean" | "text" | "bytea"

export interface CopiedColumn {
  readonly name: string
  readonly type: ColumnType
}

export interface CopiedTable {
  readonly name: string
  readonly columns: ReadonlyArray<CopiedColumn>
}

/** Values of one row, in the order of the columns: whole numbers as bigint, flags as 0 and 1. */
export type CopiedRow = ReadonlyArray<Value>

const typeOf = (declared: string): ColumnType => {
  if (declared === "BOOLEAN") return "boolean"
  if (declared === "BLOB") return "bytea"
  return declared === "TEXT" || declared === "JSONB" ? "text" : "bigint"
}

export const of = ({ columns, name }: SchemaShape.Table): CopiedTable => ({
  name,
  columns: columns.map(({ name, type }) => ({ name, type: typeOf(type) }))
})

/** A time of any form that a file may have, or a whole number. */
const wholeOf = (value: Value): bigint | undefined => {
  if (typeof value === "bigint") return value
  if (typeof value === "number") return Number.isSafeInteger(value) ? BigInt(value) : undefined
  const millis = StoredMillis.of(value)
  return millis === undefined ? undefined : BigInt(millis)
}

/** Converts a value to the type of its column, or says why it cannot be converted. */
export const valueOf = (value: Value, { type }: CopiedColumn): Either.Either<Value, string> => {
  if (value === null) return Either.right(null)
  switch (type) {
    case "text": {
      if (typeof value !== "string") return Either.left("it must be a text, and is not")
      return value.includes("\u0000") ? Either.left("it holds the character U+0000") : Either.right(value)
    }
    case "bytea":
      return typeof value === "string"
        ? Either.right(Buffer.from(value))
        : Buffer.isBuffer(value)
          ? Either.right(value)
          : Either.left("it must be bytes, and is not")
    case "bigint":
    case "boolean": {
      const whole = wholeOf(value)
      if (whole === undefined) return Either.left("it must be a whole number, and is not")
      return Either.right(type === "boolean" ? (whole === 0n ? 0n : 1n) : whole)
    }
  }
}

/** What a row weighs on its way, roughly. */
export const bytesOf = (row: CopiedRow): number =>
  row.reduce((sum: number, value) => sum + (typeof value === "string" || Buffer.isBuffer(value) ? value.length : 8), 0)
