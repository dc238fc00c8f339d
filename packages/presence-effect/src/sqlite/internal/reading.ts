/** Reads of presence, decoded. */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import { rowDecoder } from "../../internal/rowDecoder.ts"
import { StorageUnreadable } from "../../presence/PresenceStorage.ts"

export interface Reader {
  readonly query: (
    sql: string,
    params: ReadonlyArray<string | number>
  ) => Effect.Effect<ReadonlyArray<unknown>, unknown>
}

export const read = <A, I>(
  reader: Reader,
  what: string,
  row: Schema.Schema<A, I>,
  sql: string,
  params: ReadonlyArray<string | number>
): Effect.Effect<ReadonlyArray<A>, StorageUnreadable> =>
  reader.query(sql, params).pipe(
    Effect.flatMap(rowDecoder(row)),
    Effect.mapError((cause) => new StorageUnreadable({ what, cause }))
  )
