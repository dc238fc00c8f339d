/**
 * Takes the messages of sessions, tells everybody interested, and reads them
 * back.
 */
import { Context, Effect, Layer, Option } from "effect"
import * as PresenceKey from "presence-effect/presence/PresenceKey"
import type { WriteConflict, WriterError } from "presence-effect/writer/WriterError"
import * as BoundedList from "../database/BoundedList.ts"
import type { DatabaseReader, ReadFailed } from "../database/DatabaseReader.ts"
import type { ReadFailure } from "../database/ReadFailure.ts"
import { cuid } from "../database/Ids.ts"
import { NotFound, type Unauthorized } from "../Failure.ts"
import * as AccountCursor from "../entities/AccountCursor.ts"
import * as Outbox from "../entities/Outbox.ts"
import { Emitter } from "../realtime/sending/Emitter.ts"
import { Ownership, requireOwned } from "../entities/Ownership.ts"
import * as Room from "../realtime/sending/Room.ts"
import * as Message from "./Message.ts"
import { MessageStore, messageStatement, type Range, sessionStatement } from "./MessageStore.ts"

export interface Sent {
  readonly accountId: string
  readonly sessionId: string
  readonly ciphertext: string
  /** Empty: the message has none. */
  readonly localId: string
  /** The socket that needs not hear of its own message. */
  readonly exceptSocket?: string
}

/** Some messages as JSON, and where the next ones begin. */
export interface MessagePage {
  readonly json: Uint8Array
  readonly count: number
}

export class MessageLog extends Context.Tag("light-server/MessageLog")<
  MessageLog,
  {
    /**
     * Stores a message under the next number of its session, and tells everybody
     * interested. A local id that the session knows answers with the message that
     * has it: nothing is written, and nobody told.
     */
    readonly append: (sent: Sent) => Effect.Effect<Message.Message, NotFound | Unauthorized | WriterError | ReadFailed>
    readonly page: (
      accountId: string,
      sessionId: string,
      range: Range,
      limit: number
    ) => Effect.Effect<MessagePage, NotFound | ReadFailure>
  }
>() {}

export const make = Effect.gen(function* () {
  const store = yield* MessageStore
  const ownership = yield* Ownership
  const emitter = yield* Emitter
  const outbox = yield* Outbox.make
  const sessionNotFound = new NotFound({ what: "Session" })

  const requireOwn = (accountId: string, sessionId: string) =>
    requireOwned(ownership, PresenceKey.session(accountId, sessionId))

  const announce = ({ accountId, sessionId, exceptSocket }: Sent, message: Message.Message, cursor: number) =>
    emitter.update(
      Room.toSession(accountId, sessionId),
      { seq: cursor, body: { t: "new-message", id: sessionId, sid: sessionId, message } },
      exceptSocket === undefined ? {} : { exceptSocket }
    )

  const changeOf = (sent: Sent, id: string): Outbox.Announced => ({
    accountId: sent.accountId,
    change: { kind: "session", id: sent.sessionId },
    mark: id
  })

  /** The message that has the local id already, from whichever attempt. */
  const known = (sent: Sent) =>
    Effect.gen(function* () {
      if (sent.localId === "") return Option.none()
      const found = yield* store.findByLocalId(sent.accountId, sent.sessionId, sent.localId)
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

  const write = (sent: Sent, draft: Message.Draft) =>
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
          // Who sends again what is stored gets its answer, even when nothing can be written now.
          const found = yield* Effect.orElseSucceed(known(sent), Option.none)
          return Option.isSome(found) ? found.value : yield* failure
        })
      )
    )

  return MessageLog.of({
    append: (sent) =>
      Effect.gen(function* () {
        const { accountId, sessionId } = sent
        yield* requireOwn(accountId, sessionId)
        return yield* write(sent, Message.draft(accountId, sessionId, sent, cuid(), Date.now()))
        // Who hangs up takes back neither the write nor the word about it.
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

export const layer: Layer.Layer<MessageLog, never, MessageStore | Ownership | Emitter | DatabaseReader> = Layer.effect(
  MessageLog,
  make
)
