/**
 * Finds the row that a request names, or creates it and announces it. Machines and
 * sessions share it.
 */
import { Effect, Option } from "effect"
import type { WriteConflict } from "presence-effect/writer/WriterError"
import type { ReadFailed } from "../database/DatabaseReader.ts"
import type { Unauthorized } from "../Failure.ts"
import * as AccountCursor from "./AccountCursor.ts"
import type * as Outbox from "./Outbox.ts"
import type { WriteFailure } from "../quota/AccountWriter.ts"

export interface Options<Row> {
  readonly outbox: Outbox.Outbox
  /** The row that the request names, from any account. */
  readonly find: Effect.Effect<Option.Option<Row>, ReadFailed>
  /** A new row. Called only when none was found. */
  readonly make: () => Row
  readonly changeOf: (row: Row) => Omit<Outbox.Announced, "mark">
  /** Returns the cursor. Conflicts when the account is missing, or the row was created meanwhile. */
  readonly insert: (row: Row) => Effect.Effect<number, WriteFailure>
  /** Whether the row that `insert` was to write is in the database. */
  readonly isStored: (row: Row) => Effect.Effect<boolean, ReadFailed>
  /** Announces a new row. */
  readonly send: (row: Row, cursor: number) => void
  /** False for a found row that this request could not have created. */
  readonly isOwn?: (row: Row) => boolean
}

/**
 * Returns the row that was found or created. A found row needs no write, so it is
 * returned while another process holds the write lock. Of several requests that
 * create the same row at once, one succeeds and all return its row.
 */
export const run = <Row>({
  outbox,
  find,
  make,
  changeOf,
  insert,
  isStored,
  send,
  isOwn = () => true
}: Options<Row>): Effect.Effect<Row, Unauthorized | WriteFailure | ReadFailed> => {
  const announced = (row: Row): Outbox.Announced => ({ ...changeOf(row), mark: "created" })

  /** The write of a row that is found may not have been confirmed, so its announcement may be due. */
  const accept = (row: Row) =>
    isOwn(row)
      ? Effect.as(
          outbox.settle(announced(row), (cursor) => send(row, cursor)),
          row
        )
      : Effect.succeed(row)

  const create = Effect.suspend(() => {
    const row = make()
    return outbox
      .commit(announced(row), {
        write: insert(row),
        isStored: isStored(row),
        send: (cursor) => send(row, cursor)
      })
      .pipe(
        Effect.as(row),
        // A client that disconnects cancels neither the write nor its announcement.
        Effect.uninterruptible
      )
  })

  return Effect.flatMap(
    find,
    Option.match({
      onSome: accept,
      onNone: () =>
        Effect.catchTag(create, "WriteConflict", (conflict) =>
          Effect.zipRight(
            AccountCursor.requireAccount(conflict),
            Effect.flatMap(
              find,
              Option.match({
                onSome: accept,
                onNone: (): Effect.Effect<Row, WriteConflict | ReadFailed> => Effect.fail(conflict)
              })
            )
          )
        )
    })
  )
}
