/** What SQLite or JSON has no type for: flags, and bytes. */
import { Schema } from "effect"

/** A flag, stored as 0 or 1. Any other number counts as 1. */
export const StoredFlag: Schema.Schema<boolean, number> = Schema.transform(Schema.Number, Schema.Boolean, {
  decode: (stored) => stored !== 0,
  encode: (flag) => (flag ? 1 : 0)
})

/** A column of bytes that may be empty. */
export const StoredBytesOrNull: Schema.Schema<Uint8Array | null> = Schema.NullOr(Schema.Uint8ArrayFromSelf)

/** Bytes as clients get them: base64 with padding. */
export const base64OrNull = (bytes: Uint8Array | null): string | null =>
  bytes === null ? null : Buffer.from(bytes).toString("base64")
