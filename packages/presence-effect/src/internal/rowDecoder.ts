/** Decodes the rows of a statement. */
import type * as Either from "effect/Either"
import type { ParseError } from "effect/ParseResult"
import * as Schema from "effect/Schema"

/** Compiling a decoder costs as much as a small write, and the schema of a statement is a constant. */
const decoders = new WeakMap<object, (rows: unknown) => Either.Either<unknown, ParseError>>()

export const rowDecoder = <A, I>(
  schema: Schema.Schema<A, I>
): ((rows: unknown) => Either.Either<ReadonlyArray<A>, ParseError>) => {
  const known = decoders.get(schema) ?? Schema.decodeUnknownEither(Schema.Array(schema))
  decoders.set(schema, known)
  return known as (rows: unknown) => Either.Either<ReadonlyArray<A>, ParseError>
}
