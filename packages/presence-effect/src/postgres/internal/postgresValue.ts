/** What PostgreSQL stores, as the values of a `Row`. */
import type { SqlValue } from "../../writer/Write.ts"

const integerOf = (text: string): number | bigint => {
  const value = Number(text)
  return Number.isSafeInteger(value) ? value : BigInt(text)
}

/** By the number of the type in `pg_type`. What is not here stays the text that the server sends. */
const parsers: ReadonlyMap<number, (text: string) => SqlValue> = new Map<number, (text: string) => SqlValue>([
  [16, (text) => (text === "t" ? 1 : 0)],
  [17, (text) => Buffer.from(text.slice(2), "hex")],
  [20, integerOf],
  [21, Number],
  [23, Number],
  [26, Number],
  [700, Number],
  [701, Number]
])

const asText = (text: string): SqlValue => text

/** `types` of a client of `pg`. */
export const types = { getTypeParser: (oid: number) => parsers.get(oid) ?? asText }
