/**
 * Tells of changes once they are stored, also of those whose write was not
 * confirmed.
 *
 * Such a write may be in the file. Until somebody finds out, its change is in
 * doubt: nobody was told. Whoever sends it again, and finds it stored, settles
 * it.
 */
import { Effect } from "effect"
import { LRUCache } from "lru-cache"
import { DatabaseReader, type ReadFailed } from "../database/DatabaseReader.ts"
import * as AccountCursor from "./AccountCursor.ts"

/** A change that is announced. */
export interface Announced {
  readonly accountId: string
  readonly change: AccountCursor.Change
  /** Tells the changes of one entity apart: its creation, a text of a version, the id of a message. */
  readonly mark: string
}

/** Tells everybody interested. `cursor` numbers the change. */
export type Send = (cursor: number) => void

export interface Outbox {
  /** Runs a write. The change is in doubt when it ends with `WriteUnconfirmed`. */
  readonly doubtful: <A, E extends { readonly _tag: string }>(
    announced: Announced,
    write: Effect.Effect<A, E>
  ) => Effect.Effect<A, E>
  /**
   * Announces a change that was in doubt, under the cursor of the newest change
   * of its entity. For whoever found it stored; any other change was announced
   * already, and costs nothing here.
   */
  readonly settle: (announced: Announced, send: Send) => Effect.Effect<void, ReadFailed>
  /**
   * Runs a write that returns the cursor of its change, and announces it. A write
   * that fails while the change is in doubt has succeeded if `isStored`, which is
   * asked then only: who repeats what is stored gets the same answer again.
   */
  readonly commit: <E extends { readonly _tag: string }>(
    announced: Announced,
    options: {
      readonly write: Effect.Effect<number, E>
      readonly isStored: Effect.Effect<boolean, ReadFailed>
      readonly send: Send
    }
  ) => Effect.Effect<void, E>
}

/** Changes in doubt. The oldest are forgotten first: their apps hear of them from the feed. */
const doubtCount = 10_000

const textOf = ({ accountId, change, mark }: Announced) =>
  JSON.stringify([accountId, change.kind, "id" in change ? change.id : "", mark])

export const make: Effect.Effect<Outbox, never, DatabaseReader> = Effect.gen(function* () {
  const reader = yield* DatabaseReader
  const doubts = new LRUCache<string, true>({ max: doubtCount })

  const doubtful: Outbox["doubtful"] = (announced, write) =>
    Effect.tapError(write, ({ _tag }) =>
      Effect.sync(() => {
        if (_tag === "WriteUnconfirmed") doubts.set(textOf(announced), true)
      })
    )

  const settle: Outbox["settle"] = (announced, send) =>
    Effect.gen(function* () {
      const text = textOf(announced)
      if (!doubts.has(text)) return
      const cursor = yield* AccountCursor.newest(reader, announced)
      // Of several who find it at once, the first one tells.
      if (doubts.delete(text)) send(cursor)
    })

  const commit: Outbox["commit"] = (announced, { write, isStored, send }) =>
    doubtful(announced, write).pipe(
      Effect.map((cursor) => {
        doubts.delete(textOf(announced))
        send(cursor)
      }),
      Effect.catchAll((failure) =>
        Effect.gen(function* () {
          if (!doubts.has(textOf(announced)) || !(yield* isStored)) return yield* Effect.fail(failure)
          yield* settle(announced, send)
        }).pipe(
          // Who cannot look does not know more than before.
          Effect.mapError(() => failure)
        )
      )
    )

  return { doubtful, settle, commit }
})
