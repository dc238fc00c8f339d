/**
 * What changed in an account since a client last asked.
 *
 * Each entity has one line, that of its newest change, so the feed is never
 * longer than the number of entities, however long a client was away.
 */
import { Context, Effect, Layer, Schema } from "effect"
import * as BoundedList from "../database/BoundedList.ts"
import { DatabaseReader, ReadFailed } from "../database/DatabaseReader.ts"
import { type ReadFailure, undecodable } from "../database/ReadFailure.ts"
import type { Field } from "../database/ReadRequest.ts"
import { CursorGone, invalidToken, type Unauthorized } from "../Failure.ts"

/** Some changes as JSON, the oldest first, and the cursor from which the next ones are read. */
export interface ChangePage {
  readonly json: Uint8Array
  readonly count: number
}

/**
 * The newest cursor of an account, and the oldest one that the feed can still be
 * read from.
 */
export const Bounds = Schema.Struct({ cursor: Schema.Int, changesFloor: Schema.Int })

export type Bounds = typeof Bounds.Type

export class ChangeFeed extends Context.Tag("light-server/ChangeFeed")<
  ChangeFeed,
  {
    readonly bounds: (accountId: string) => Effect.Effect<Bounds, Unauthorized | ReadFailed>
    /** `CursorGone` when the account never was at `after`, or its feed does not reach back to it. */
    readonly page: (
      accountId: string,
      after: number,
      limit: number
    ) => Effect.Effect<ChangePage, CursorGone | Unauthorized | ReadFailure>
  }
>() {}

const selectBounds = `SELECT "seq" AS "cursor", "changesFloor" FROM "Account" WHERE "id" = ?`

/** One statement, so that the bounds and the changes are of one moment. Without a change it is one row of NULLs. */
const selectPage = `SELECT a."seq" AS "currentCursor", a."changesFloor",
    c."cursor" AS "listKey", c."cursor", c."kind", c."entityId", c."changedAt", c."hint"
  FROM "Account" AS a LEFT JOIN "AccountChange" AS c ON c."accountId" = a."id" AND c."cursor" > ?
  WHERE a."id" = ? ORDER BY c."cursor" LIMIT ?`

/**
 * What the line is about must be readable. The hint is optional: a client that
 * never received a line because of an unreadable hint would miss the change for
 * ever.
 */
const fields: ReadonlyArray<Field> = [
  { column: "cursor", kind: "int", as: "cursor" },
  { column: "kind", kind: "text", as: "kind" },
  { column: "entityId", kind: "text", as: "entityId" },
  { column: "changedAt", kind: "timeOrZero", as: "changedAt" },
  { column: "hint", kind: "jsonOrNull", as: "hint" }
]

const decodeBounds = Schema.decodeUnknown(Schema.Tuple(Schema.Int, Schema.Int))

export const make: Effect.Effect<ChangeFeed["Type"], never, DatabaseReader> = Effect.gen(function* () {
  const reader = yield* DatabaseReader
  return ChangeFeed.of({
    bounds: (accountId) =>
      Effect.flatMap(reader.rows(Bounds, selectBounds, [accountId]), ([bounds]) =>
        bounds === undefined ? invalidToken : Effect.succeed(bounds)
      ),
    page: (accountId, after, limit) =>
      Effect.gen(function* () {
        const { first, lastKey, rows } = yield* BoundedList.ask(reader, "AccountChange", "list", {
          _tag: "List",
          sql: selectPage,
          params: [after, accountId, limit],
          fields,
          kept: [],
          skipNull: "cursor",
          first: ["currentCursor", "changesFloor"],
          constants: "",
          limit,
          bytesMax: BoundedList.pageBytes
        })
        if (first.length === 0) return yield* invalidToken
        const [currentCursor, changesFloor] = yield* Effect.mapError(
          decodeBounds(first),
          () => new ReadFailed({ code: undecodable, detail: "the cursor of the account does not fit" })
        )
        if (after > currentCursor || after < changesFloor) return yield* new CursorGone({ currentCursor })
        const next = typeof lastKey === "number" ? lastKey : after
        return { json: BoundedList.toJson(`{"changes":[`, rows, `],"nextCursor":${next}}`), count: rows.length }
      })
  })
})

export const layer: Layer.Layer<ChangeFeed, never, DatabaseReader> = Layer.effect(ChangeFeed, make)
