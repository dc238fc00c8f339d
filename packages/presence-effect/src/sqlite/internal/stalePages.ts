/** Pages of the rows that are stored as active and were not seen for long. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { keyOf } from "../../presence/PresenceKind.ts"
import type { BelievableTimes, StaleCursor, StalePage, StaleRow } from "../../presence/PresenceStorage.ts"
import { StorageUnreadable } from "../../presence/PresenceStorage.ts"
import type { KindTable } from "./kindTables.ts"
import { read, type Reader } from "./reading.ts"
import { Id } from "./rowWrites.ts"

const StaleRecord = Schema.Struct({
  id: Id,
  accountId: Schema.optional(Id),
  stored: Schema.Unknown,
  millis: Schema.Number
})

/** Where a page ended: the range, and what orders its last row there. */
const Cursor = Schema.parseJson(
  Schema.Struct({
    part: Schema.Number,
    stored: Schema.Union(Schema.Number, Schema.String),
    id: Schema.String,
    account: Schema.String
  })
)

const decoded = (cursor: StaleCursor): Effect.Effect<typeof Cursor.Type, StorageUnreadable> =>
  Effect.mapError(
    Schema.decode(Cursor)(cursor),
    (cause) => new StorageUnreadable({ what: "the cursor of a page", cause })
  )

/** A page takes what is left of a range and goes on with the next. */
export const find = (
  reader: Reader,
  { kind, stale: ranges, table }: KindTable,
  believable: BelievableTimes,
  limit: number,
  cursor: StaleCursor | undefined
): Effect.Effect<StalePage, StorageUnreadable> =>
  Effect.gen(function* () {
    const after = cursor === undefined ? undefined : yield* decoded(cursor)
    const rows: Array<StaleRow> = []
    let next = after
    for (const [part, { params, sql }] of ranges.entries()) {
      if (part < (after?.part ?? 0)) continue
      const start = part === after?.part ? after : undefined
      const found = yield* read(reader, table, StaleRecord, sql, params(believable, start, limit - rows.length))
      for (const { accountId, id, millis } of found) {
        const key = keyOf(kind, accountId === undefined ? undefined : String(accountId), String(id))
        rows.push({ key, lastSeenMillis: millis })
      }
      const last = found.at(-1)
      if (last !== undefined) {
        const { accountId = "", id, stored } = last
        next = {
          part,
          stored: typeof stored === "number" || typeof stored === "string" ? stored : 0,
          id: String(id),
          account: String(accountId)
        }
      }
      if (rows.length >= limit) return { rows, next: JSON.stringify(next) }
    }
    return { rows, next: undefined }
  })
