/**
 * A checksum over rows that does not depend on their order.
 *
 * Each row has a SHA-256 of its own, and the checksum is their sum. So two databases can be compared by reading each
 * in the order in which it is stored, and nothing has to be kept or sorted.
 */
import * as Crypto from "node:crypto"

/** What SQLite stores in a column. Integers are exact. */
export type Value = bigint | number | string | Buffer | null

/** A checksum in progress. */
export interface RowDigest {
  readonly add: (row: ReadonlyArray<Value>) => void
  /** 64 hexadecimal digits; all zero when there was no row. */
  readonly hex: () => string
}

const modulus = 1n << 256n

/** Type, length and value: two different rows never have the same encoding. */
const update = (hash: Crypto.Hash, value: Value): void => {
  if (value === null) hash.update("n")
  else if (typeof value === "bigint") hash.update(`i${value};`)
  else if (typeof value === "number") hash.update(`r${value};`)
  else if (typeof value === "string") hash.update(`t${Buffer.byteLength(value)};`).update(value)
  else hash.update(`b${value.length};`).update(value)
}

export const make = (): RowDigest => {
  let sum = 0n
  return {
    add: (row) => {
      const hash = Crypto.createHash("sha256")
      for (const value of row) update(hash, value)
      sum = (sum + BigInt(`0x${hash.digest("hex")}`)) % modulus
    },
    hex: () => sum.toString(16).padStart(64, "0")
  }
}
