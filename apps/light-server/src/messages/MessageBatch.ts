/** Batches of messages, which a client may send again whole or in part. */
import { Effect } from "effect"
import type { ReadFailed, ReadFailure } from "../database/ReadFailure.ts"
import * as AccountCursor from "../entities/AccountCursor.ts"
import { NotFound, type Unauthorized } from "../Failure.ts"
import type { Message, Receipt, Sent } from "./Message.ts"
import { type MessageStore, messageStatement, sessionStatement } from "./MessageStore.ts"
import type { WriteFailure } from "../quota/AccountWriter.ts"

export interface Parts {
  readonly store: Pick<MessageStore["Type"], "findReceipts">
  readonly requireOwn: (accountId: string, sessionId: string) => Effect.Effect<void, NotFound | ReadFailed>
  /** Stores and announces messages in order, all of them or none. */
  readonly appendAll: (
    sent: ReadonlyArray<Sent>
  ) => Effect.Effect<ReadonlyArray<Message>, NotFound | WriteFailure | ReadFailed>
  /** Announces a stored message whose write was not confirmed when it was sent first. */
  readonly announceUnconfirmed: (accountId: string, sessionId: string, id: string) => Effect.Effect<void, ReadFailed>
}

/** Attempts to store a batch whose local ids other requests store at the same time. */
const attemptsMax = 3

/** The first of the messages with the same local id. */
const distinct = (all: ReadonlyArray<Sent>): ReadonlyArray<Sent> => {
  const byLocalId = new Map<string, Sent>()
  for (const sent of all) if (!byLocalId.has(sent.localId)) byLocalId.set(sent.localId, sent)
  return [...byLocalId.values()]
}

const receiptOf = ({ id, seq, localId, createdAt, updatedAt }: Message): Receipt => ({
  id,
  seq,
  localId: localId ?? "",
  createdAt,
  updatedAt
})

const bySeq = (one: Receipt, other: Receipt) => one.seq - other.seq

/** A local id was stored after the batch looked for it. */
const isOvertaken = (failure: { readonly _tag: string; readonly statement?: number }): boolean =>
  failure._tag === "WriteConflict" && (failure.statement ?? 0) >= messageStatement

export const make =
  ({ announceUnconfirmed, appendAll, requireOwn, store }: Parts) =>
  (
    accountId: string,
    sessionId: string,
    all: ReadonlyArray<Sent>
  ): Effect.Effect<ReadonlyArray<Receipt>, NotFound | Unauthorized | WriteFailure | ReadFailure> => {
    const batch = distinct(all)
    const attempt = Effect.gen(function* () {
      yield* requireOwn(accountId, sessionId)
      const localIds = batch.map(({ localId }) => localId)
      const known = (yield* store.findReceipts(accountId, sessionId, localIds)).toSorted(bySeq)
      for (const { id } of known) yield* announceUnconfirmed(accountId, sessionId, id)
      const taken = new Set(known.map(({ localId }) => localId))
      const fresh = batch.filter(({ localId }) => !taken.has(localId))
      const stored = fresh.length === 0 ? [] : yield* appendAll(fresh)
      return [...known, ...stored.map(receiptOf)].toSorted(bySeq)
    })
    return attempt.pipe(
      Effect.retry({ times: attemptsMax - 1, while: isOvertaken }),
      Effect.catchTag("WriteConflict", (conflict) =>
        Effect.zipRight(
          AccountCursor.requireAccount(conflict),
          Effect.fail(conflict.statement === sessionStatement ? new NotFound({ what: "Session" }) : conflict)
        )
      )
    )
  }
