/**
 * Stores the messages of sessions, announces them, and reads them back.
 */
import { Context, Effect, Layer, Option } from "effect"
import * as PresenceKey from "../entities/PresenceKey.ts"
import type { WriteConflict } from "presence-effect/writer/WriterError"
import * as BoundedList from "../database/BoundedList.ts"
import type { DatabaseReader, ReadFailed } from "../database/DatabaseReader.ts"
import type { ReadFailure } from "../database/ReadFailure.ts"
import { NotFound, type Unauthorized } from "../Failure.ts"
import * as AccountCursor from "../entities/AccountCursor.ts"
import * as Outbox from "../entities/Outbox.ts"
import { Emitter } from "../realtime/sending/Emitter.ts"
import { Ownership, requireOwned } from "../entities/Ownership.ts"
import * as Room from "../realtime/sending/Room.ts"
import * as Message from "./Message.ts"
import * as MessageBatch from "./MessageBatch.ts"
import { MessageStore, messageStatement, type Range, sessionStatement } from "./MessageStore.ts"
import type { WriteFailure } from "../quota/AccountWriter.ts"

/** Some messages as JSON, and where the next ones begin. */
export interface MessagePage {
  readonly json: Uint8Array
  readonly count: number
}

export class MessageLog extends Context.Tag("light-server/MessageLog")<
  MessageLog,
  {
    /**
     * Stores a message under the next number of its session, and announces it.
     * A local id that the session has already returns the stored message:
     * nothing is written or announced. So it can be repeated with the same id
     * after any failure.
     */
    readonly append: (
      sent: Message.Sent
    ) => Effect.Effect<Message.Message, NotFound | Unauthorized | WriteFailure | ReadFailed>
    /** Stores messages of one account in order, all of them or none. */
    readonly appendAll: (
      sent: ReadonlyArray<Message.Sent>
    ) => Effect.Effect<ReadonlyArray<Message.Message>, NotFound | WriteFailure | ReadFailed>
    /**
     * Stores those messages of a batch that the session does not have yet, in order, all of them or none, and announces
     * each. Returns the receipts of old and new ones by their number, one for each local id.
     */
    readonly appendBatch: (
      accountId: string,
      sessionId: string,
      sent: ReadonlyArray<Message.Sent>
    ) => Effect.Effect<ReadonlyArray<Message.Receipt>, NotFound | Unauthorized | WriteFailure | ReadFailure>
    readonly page: (
      accountId: string,
      sessionId: string,
      range: Range,
      limit: number
    ) => Effect.Effect<MessagePage, NotFound | ReadFailure>
    /** The same for clients that use the number of the last message as the cursor. */
    readonly slice: (
      accountId: string,
      sessionId: string,
      range: Range,
      limit: number
    ) => Effect.Effect<MessagePage, NotFound | ReadFailure>
  }
>() {}

/** Pages without a readable row that one request reads past. */
const unreadablePagesMax = 20

export const make = Effect.gen(function* () {
  const store = yield* MessageStore
  const ownership = yield* Ownership
  const emitter = yield* Emitter
  const outbox = yield* Outbox.make
  const sessionNotFound = new NotFound({ what: "Session" })

  const requireOwn = (accountId: string, sessionId: string) =>
    requireOwned(ownership, PresenceKey.session(accountId, sessionId))

  const announce = ({ accountId, sessionId, exceptSocket }: Message.Sent, message: Message.Message, cursor: number) =>
    emitter.update(
      Room.toSession(accountId, sessionId),
      { seq: cursor, body: { t: "new-message", id: sessionId, sid: sessionId, message } },
      exceptSocket === undefined ? {} : { exceptSocket }
    )

  const changeOf = (sent: Message.Sent, id: string): Outbox.Announced => ({
    accountId: sent.accountId,
    change: { kind: "session", id: sent.sessionId },
    mark: id
  })

  const find = ({ accountId, id, localId, sessionId }: Message.Sent) =>
    localId === "" ? store.findById(accountId, sessionId, id) : store.findByLocalId(accountId, sessionId, localId)

  /** The message that has the local id already, or the id, from any attempt. */
  const known = (sent: Message.Sent) =>
    Effect.gen(function* () {
      const found = yield* find(sent)
      if (Option.isNone(found)) return Option.none()
      // Its write may not have been confirmed when it was sent first.
      yield* outbox.settle(changeOf(sent, found.value.id), (cursor) => announce(sent, found.value, cursor))
      return found
    })

  const whyConflict = (conflict: WriteConflict): Effect.Effect<never, NotFound | Unauthorized | WriteConflict> =>
    Effect.zipRight(
      AccountCursor.requireAccount(conflict),
      Effect.fail(conflict.statement === sessionStatement ? sessionNotFound : conflict)
    )

  const write = (sent: Message.Sent, draft: Message.Draft) =>
    outbox.track(changeOf(sent, draft.id), store.append(draft)).pipe(
      Effect.map(({ seq, cursor }) => {
        const message = Message.stored(draft, seq)
        announce(sent, message, cursor)
        return message
      }),
      Effect.catchAll((failure) =>
        Effect.gen(function* () {
          if (failure._tag === "WriteConflict" && failure.statement !== messageStatement) {
            return yield* whyConflict(failure)
          }
          // A stored message is returned even when nothing can be written now. An unconfirmed attempt may have stored
          // it, and the next one is then rejected because of the id.
          const found = yield* Effect.orElseSucceed(known(sent), Option.none)
          return Option.isSome(found) ? found.value : yield* failure
        })
      )
    )

  /** The change of each is noted as unconfirmed when the write is. */
  const writeAll = (all: ReadonlyArray<{ readonly sent: Message.Sent; readonly draft: Message.Draft }>) =>
    all.reduce(
      (write, { draft, sent }) => outbox.track(changeOf(sent, draft.id), write),
      store.appendAll(all.map(({ draft }) => draft))
    )

  const appendAll = (all: ReadonlyArray<Message.Sent>) =>
    Effect.gen(function* () {
      for (const { accountId, sessionId } of all) yield* requireOwn(accountId, sessionId)
      const drafts = all.map((sent) => ({
        sent,
        draft: Message.draft(sent.accountId, sent.sessionId, sent, sent.id, Date.now())
      }))
      const places = yield* writeAll(drafts)
      return places.flatMap(({ cursor, seq }, index) => {
        const stored = drafts[index]
        if (stored === undefined) return []
        const message = Message.stored(stored.draft, seq)
        announce(stored.sent, message, cursor)
        return [message]
      })
      // A client that disconnects cancels neither the write nor its announcement.
    }).pipe(Effect.uninterruptible)

  const appendBatch = MessageBatch.make({
    store,
    requireOwn,
    appendAll,
    announceUnconfirmed: (accountId, sessionId, id) => {
      const sent = { id, accountId, sessionId, ciphertext: "", localId: "" }
      return outbox.isUnconfirmed(changeOf(sent, id)) ? Effect.asVoid(known(sent)) : Effect.void
    }
  })

  const slice: MessageLog["Type"]["slice"] = (accountId, sessionId, range, limit) =>
    Effect.gen(function* () {
      yield* requireOwn(accountId, sessionId)
      const { hasMore, rows } = yield* readOn(accountId, sessionId, range, limit)
      return {
        json: BoundedList.toJson(`{"messages":[`, rows, `],${JSON.stringify({ hasMore }).slice(1)}`),
        count: rows.length
      }
    })

  /** Otherwise a client without a message as its cursor would ask for the same unreadable rows again. */
  const readOn = (
    accountId: string,
    sessionId: string,
    range: Range,
    limit: number,
    pagesLeft = unreadablePagesMax
  ): Effect.Effect<BoundedList.BoundedList, ReadFailure> =>
    Effect.flatMap(store.page(accountId, sessionId, range, limit), (list) => {
      const { hasMore, lastKey, rows } = list
      if (rows.length > 0 || !hasMore || typeof lastKey !== "number" || pagesLeft === 0) return Effect.succeed(list)
      const next = "before" in range ? { before: lastKey } : { after: lastKey }
      return readOn(accountId, sessionId, next, limit, pagesLeft - 1)
    })

  return MessageLog.of({
    appendAll,
    appendBatch,
    slice,
    append: (sent) =>
      Effect.gen(function* () {
        const { accountId, sessionId } = sent
        yield* requireOwn(accountId, sessionId)
        return yield* write(sent, Message.draft(accountId, sessionId, sent, sent.id, Date.now()))
        // A client that disconnects cancels neither the write nor its announcement.
      }).pipe(Effect.uninterruptible),
    page: (accountId, sessionId, range, limit) =>
      Effect.gen(function* () {
        yield* requireOwn(accountId, sessionId)
        const { rows, lastKey, hasMore } = yield* store.page(accountId, sessionId, range, limit)
        const last = hasMore && typeof lastKey === "number" ? lastKey : null
        const isOlder = "before" in range
        const cursors = {
          hasMore: last !== null,
          nextBeforeSeq: isOlder ? last : null,
          nextAfterSeq: isOlder ? null : last
        }
        const after = `],${JSON.stringify(cursors).slice(1)}`
        return { json: BoundedList.toJson(`{"messages":[`, rows, after), count: rows.length }
      })
  })
})

export const layer: Layer.Layer<MessageLog, never, MessageStore | Ownership | Emitter | DatabaseReader> = Layer.scoped(
  MessageLog,
  make
)
