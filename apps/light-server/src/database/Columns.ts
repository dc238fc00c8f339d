/** Which columns a table has: another happier light server may have added some. */
import { Effect, Option, Schema } from "effect"
import { DatabaseReader, type ReadFailed } from "./DatabaseReader.ts"

const selectColumn = `SELECT 1 AS "found" FROM pragma_table_info(?) WHERE "name" = ?`

export const has = (table: string, column: string): Effect.Effect<boolean, ReadFailed, DatabaseReader> =>
  Effect.flatMap(DatabaseReader, (reader) =>
    Effect.map(reader.first(Schema.Unknown, selectColumn, [table, column]), Option.isSome)
  )
