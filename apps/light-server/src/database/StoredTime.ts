/**
 * A time column of the database, read as epoch milliseconds.
 *
 * Some files store integers (milliseconds), others ISO text, and a column
 * default of `CURRENT_TIMESTAMP` stores text without a zone, in UTC. All three
 * are read; `TimeForm` decides which one is written.
 */
import { Option, ParseResult, Schema } from "effect"
import * as StoredMillis from "./StoredMillis.ts"

/** Epoch milliseconds, stored as an integer or as ISO text. */
export const StoredTime: Schema.Schema<number, number | string> = Schema.transformOrFail(
  Schema.Union(Schema.Number, Schema.String),
  Schema.Int,
  {
    strict: true,
    decode: (stored, _, ast) =>
      Option.match(Option.fromNullable(StoredMillis.of(stored)), {
        onNone: () => ParseResult.fail(new ParseResult.Type(ast, stored, "a time is an integer or ISO text")),
        onSome: ParseResult.succeed
      }),
    encode: ParseResult.succeed
  }
)

/** A time column that may be empty. */
export const StoredTimeOrNull: Schema.Schema<number | null, number | string | null> = Schema.NullOr(StoredTime)
