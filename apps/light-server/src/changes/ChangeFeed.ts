/**
 * What changed in an account since a client looked last.
 *
 * Each entity has one line, that of its newest change, so a client that was
 * away for a year reads no more than what there is.
 */
import { Context, Effect, Layer, Schema } from "effect"
import { DatabaseReader, type ReadFailed } from "../database/DatabaseReader.ts"
import { StoredTimeOrNull } from "../database/StoredTime.ts"
import { CursorGone, invalidToken, type Unauthorized } from "../Failure.ts"

export interface Change {
  readonly cursor: number
  readonly kind: string
  readonly entityId: string
  readonly changedAt: number
  readonly hint: unknown
}

/**
 * Some changes, the oldest first, and the cursor from which the next ones are
 * read.
 */
export interface ChangePage {
  readonly changes: ReadonlyArray<Change>
  readonly nextCursor: number
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
    ) => Effect.Effect<ChangePage, CursorGone | Unauthorized | ReadFailed>
  }
>() {}

const selectBounds = `SELECT "seq" AS "cursor", "changesFloor" FROM "Account" WHERE "id" = ?`

/** One statement, so that the bounds and the changes are of one moment. Without a change it is one row of NULLs. */
const selectPage = `SELECT a."seq" AS "currentCursor", a."changesFloor",
    c."cursor", c."kind", c."entityId", c."changedAt", c."hint"
  FROM "Account" AS a LEFT JOIN "AccountChange" AS c ON c."accountId" = a."id" AND c."cursor" > ?
  WHERE a."id" = ? ORDER BY c."cursor" LIMIT ?`

/**
 * What the line is about must be readable. The rest only helps: a client that
 * never got a line for the sake of its hint would miss the change for ever.
 */
const Line = Schema.Struct({
  currentCursor: Schema.Int,
  changesFloor: Schema.Int,
  cursor: Schema.NullOr(Schema.Int),
  kind: Schema.NullOr(Schema.String),
  entityId: Schema.NullOr(Schema.String),
  changedAt: StoredTimeOrNull.annotations({ decodingFallback: () => Effect.succeed(null) }),
  hint: Schema.NullOr(Schema.parseJson()).annotations({ decodingFallback: () => Effect.succeed(null) })
})

const changesOf = (lines: ReadonlyArray<typeof Line.Type>): ReadonlyArray<Change> =>
  lines.flatMap(({ cursor, kind, entityId, changedAt, hint }) =>
    cursor === null || kind === null || entityId === null
      ? []
      : [{ cursor, kind, entityId, changedAt: changedAt ?? 0, hint }]
  )

export const make: Effect.Effect<ChangeFeed["Type"], never, DatabaseReader> = Effect.gen(function* () {
  const reader = yield* DatabaseReader
  return ChangeFeed.of({
    bounds: (accountId) =>
      Effect.flatMap(reader.rows(Bounds, selectBounds, [accountId]), ([bounds]) =>
        bounds === undefined ? invalidToken : Effect.succeed(bounds)
      ),
    page: (accountId, after, limit) =>
      Effect.gen(function* () {
        const lines = yield* reader.rows(Line, selectPage, [after, accountId, limit])
        const [first] = lines
        if (first === undefined) return yield* invalidToken
        const { currentCursor, changesFloor } = first
        if (after > currentCursor || after < changesFloor) return yield* new CursorGone({ currentCursor })
        const changes = changesOf(lines)
        return { changes, nextCursor: changes.at(-1)?.cursor ?? after }
      })
  })
})

export const layer: Layer.Layer<ChangeFeed, never, DatabaseReader> = Layer.effect(ChangeFeed, make)
