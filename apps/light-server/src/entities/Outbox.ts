/**
 * Announces stored changes, including those whose write was unconfirmed at first.
 *
 * A write that ends with `WriteUnconfirmed` may be in the file. Its change is
 * remembered as unconfirmed and is not announced. When the client repeats the
 * request and the change is found stored, it is announced then, once.
 */
import { Effect, type Scope } from "effect"
import * as LruCache from "../LruCache.ts"
import { DatabaseReader, type ReadFailed } from "../database/DatabaseReader.ts"
import { Replicas } from "../replicas/ReplicaBus.ts"
import * as AccountCursor from "./AccountCursor.ts"

/** A change that is announced. */
export interface Announced {
  readonly accountId: string
  readonly change: AccountCursor.Change
  /** Distinguishes the changes of one entity: its creation, a text of a version, the id of a message. */
  readonly mark: string
}

/** Sends the announcement to its recipients. `cursor` numbers the change. */
export type Send = (cursor: number) => void

export interface Outbox {
  /** Runs a write, and remembers its change as unconfirmed when it ends with `WriteUnconfirmed`. */
  readonly track: <A, E extends { readonly _tag: string }>(
    announced: Announced,
    write: Effect.Effect<A, E>
  ) => Effect.Effect<A, E>
  /** Whether `settle` would look for the change, for callers that must first read what they announce. */
  readonly isUnconfirmed: (announced: Announced) => boolean
  /**
   * Announces an unconfirmed change that was found stored, under the cursor of the
   * newest change of its entity. Any other change was announced already, and costs
   * nothing here.
   */
  readonly settle: (announced: Announced, send: Send) => Effect.Effect<void, ReadFailed>
  /**
   * Runs a write that returns the cursor of its change, and announces it. A write
   * that fails while the change is unconfirmed succeeds if `isStored`, which runs
   * only then: a request that is repeated gets the same answer again.
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

/** Unconfirmed changes that are remembered. The oldest is forgotten first; apps find its change in the feed. */
const unconfirmedMax = 10_000

const keyOf = ({ accountId, change, mark }: Announced) =>
  JSON.stringify([accountId, change.kind, "id" in change ? change.id : "", mark])

const topic = "unconfirmed"

/** A client may repeat its request to another replica, so all of them remember what is unconfirmed. */
const makeUnconfirmed = Effect.gen(function* () {
  const replicas = yield* Replicas
  const keys = LruCache.make<true>(unconfirmedMax)
  yield* replicas.listen(topic, (body) => {
    const { isUnconfirmed, key } = body as { readonly key: string; readonly isUnconfirmed: boolean }
    if (isUnconfirmed) keys.set(key, true)
    else keys.delete(key)
  })
  return {
    has: (key: string) => keys.has(key),
    add: (key: string) => {
      keys.set(key, true)
      replicas.send(topic, { key, isUnconfirmed: true })
    },
    /** `true`: it was unconfirmed. */
    delete: (key: string): boolean => {
      const wasUnconfirmed = keys.delete(key)
      if (wasUnconfirmed) replicas.send(topic, { key, isUnconfirmed: false })
      return wasUnconfirmed
    }
  }
})

export const make: Effect.Effect<Outbox, never, DatabaseReader | Scope.Scope> = Effect.gen(function* () {
  const reader = yield* DatabaseReader
  const unconfirmed = yield* makeUnconfirmed

  const track: Outbox["track"] = (announced, write) =>
    Effect.tapError(write, ({ _tag }) =>
      Effect.sync(() => {
        if (_tag === "WriteUnconfirmed") unconfirmed.add(keyOf(announced))
      })
    )

  const settle: Outbox["settle"] = (announced, send) =>
    Effect.gen(function* () {
      const key = keyOf(announced)
      if (!unconfirmed.has(key)) return
      const cursor = yield* AccountCursor.newest(reader, announced)
      // When several requests find it at once, the first one announces it.
      if (unconfirmed.delete(key)) send(cursor)
    })

  const commit: Outbox["commit"] = (announced, { write, isStored, send }) =>
    track(announced, write).pipe(
      Effect.map((cursor) => {
        unconfirmed.delete(keyOf(announced))
        send(cursor)
      }),
      Effect.catchAll((failure) =>
        Effect.gen(function* () {
          if (!unconfirmed.has(keyOf(announced)) || !(yield* isStored)) return yield* Effect.fail(failure)
          yield* settle(announced, send)
        }).pipe(
          // When the lookup fails as well, the failure of the write is the answer.
          Effect.mapError(() => failure)
        )
      )
    )

  return { track, isUnconfirmed: (announced) => unconfirmed.has(keyOf(announced)), settle, commit }
})
