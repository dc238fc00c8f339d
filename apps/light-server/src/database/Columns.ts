/** Which columns a table has: another happier light server may have added some. */
import { Effect, Option, Schema } from "effect"
import { DatabaseReader, type ReadFailed } from "./DatabaseReader.ts"

export const has = (table: string, column: string): Effect.Effect<boolean, ReadFailed, DatabaseReader> =>
  Effect.gen(function* () {
    const reader = yield* DatabaseReader
    return Option.isSome(yield* reader.first(Schema.Unknown, reader.dialect.findColumn, [table, column]))
  })
