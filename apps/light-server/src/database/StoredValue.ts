/**
 * What SQLite or JSON has no type for: flags, and bytes.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

/**
 * A flag, stored as 0 or 1. Any other number counts as 1.
 *
 * @category models
 * @since 0.1.0
 */
export const StoredFlag: Schema.Schema<boolean, number> = Schema.transform(Schema.Number, Schema.Boolean, {
  decode: (stored) => stored !== 0,
  encode: (flag) => (flag ? 1 : 0)
})

/**
 * A column of bytes that may be empty.
 *
 * @category models
 * @since 0.1.0
 */
export const StoredBytesOrNull: Schema.Schema<Uint8Array | null> = Schema.NullOr(Schema.Uint8ArrayFromSelf)

/**
 * Bytes as clients get them: base64 with padding.
 *
 * @category conversions
 * @since 0.1.0
 */
export const base64OrNull = (bytes: Uint8Array | null): string | null =>
  bytes === null ? null : Buffer.from(bytes).toString("base64")
