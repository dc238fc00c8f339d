/** Messages in the database. */
import { Context, Effect, Layer, type Option, Schema } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import type { Writer } from "presence-effect/writer/Writer"
import * as Write from "presence-effect/writer/Write"
import * as BoundedList from "../database/BoundedList.ts"
import { DatabaseReader, type ReadFailed } from "../database/DatabaseReader.ts"
import type { ReadFailure } from "../database/ReadFailure.ts"
import type { Dialect } from "../database/Dialect.ts"
import * as TimeForm from "../database/TimeForm.ts"
import * as AccountCursor from "../entities/AccountCursor.ts"
import { type Draft, Message, Receipt } from "./Message.ts"
import * as AccountWriter from "../quota/AccountWriter.ts"
import type { WriteFailure } from "../quota/AccountWriter.ts"

/** The position of a stored message: in its session, and in its account. */
export interface Place {
  readonly seq: number
  readonly cursor: number
}

/** The direction in which to read from a number: to older messages or to newer ones. */
export type Range = { readonly before: number } | { readonly after: number }

/**
 * The statement of `append` that conflicts when the session is missing or
 * foreign.
 */
export const sessionStatement = 1

/** The same for a local id that the session has already. */
export const messageStatement = 2

export class MessageStore extends Context.Tag("light-server/MessageStore")<
  MessageStore,
  {
    /** Stores a message under the next number of its session. Conflicts as described above, and then writes nothing. */
    readonly append: (draft: Draft) => Effect.Effect<Place, WriteFailure>
    /** Stores messages of one account in order, all of them or none. */
    readonly appendAll: (drafts: ReadonlyArray<Draft>) => Effect.Effect<ReadonlyArray<Place>, WriteFailure>
    readonly findById: (
      accountId: string,
      sessionId: string,
      id: string
    ) => Effect.Effect<Option.Option<Message>, ReadFailed>
    readonly findByLocalId: (
      accountId: string,
      sessionId: string,
      localId: string
    ) => Effect.Effect<Option.Option<Message>, ReadFailed>
    /** The messages of the session with one of the local ids, in no order and without their contents. */
    readonly findReceipts: (
      accountId: string,
      sessionId: string,
      localIds: ReadonlyArray<string>
    ) => Effect.Effect<ReadonlyArray<Receipt>, ReadFailure>
    /**
     * Newest first before a number, and oldest first after one, at most 1 MiB. The last key is the number from which
     * the next page continues.
     */
    readonly page: (
      accountId: string,
      sessionId: string,
      range: Range,
      limit: number
    ) => Effect.Effect<BoundedList.BoundedList, ReadFailure>
  }
>() {}

const columns = `"id", "seq", "content", "localId", "createdAt", "updatedAt"`

const raiseSession = `UPDATE "Session" SET "seq" = "seq" + 1, "updatedAt" = ? WHERE "id" = ? AND "accountId" = ?`

const insertNew = `INSERT INTO "SessionMessage"
    ("id", "sessionId", "localId", "seq", "content", "createdAt", "updatedAt")
  SELECT ?, "id", ?, "seq", ?, ?, ? FROM "Session" WHERE "id" = ?
  ON CONFLICT ("sessionId", "localId") DO NOTHING
  RETURNING "seq"`

const ownSession = `(SELECT "id" FROM "Session" WHERE "id" = ? AND "accountId" = ?)`

const selectByLocalId = `SELECT ${columns} FROM "SessionMessage" WHERE "sessionId" = ${ownSession} AND "localId" = ?`

const selectById = `SELECT ${columns} FROM "SessionMessage" WHERE "sessionId" = ${ownSession} AND "id" = ?`

// The times of a row are stored after its content, so a large row costs many pages: this is read in a thread.
const selectReceipts = ({
  textsIn
}: Dialect) => `SELECT "id", "seq", "localId", "createdAt", "updatedAt" FROM "SessionMessage"
  WHERE "sessionId" = ${ownSession} AND "localId" IN (${textsIn("?")})`

const pageOf = (isAfter: string, direction: BoundedList.Source["direction"]): BoundedList.Source => ({
  table: "SessionMessage",
  columns,
  weighty: ["content"],
  from: `FROM "SessionMessage" WHERE "sessionId" = ${ownSession} AND ${isAfter}`,
  key: `"seq"`,
  direction,
  bytesMax: BoundedList.pageBytes
})

/** A row like one of `Message`. */
const shape: BoundedList.Shape = {
  fields: [
    { column: "id", kind: "text", as: "id" },
    { column: "seq", kind: "int", as: "seq" },
    { column: "content", kind: "json", as: "content" },
    { column: "localId", kind: "textOrNull", as: "localId" },
    { column: "createdAt", kind: "time", as: "createdAt" },
    { column: "updatedAt", kind: "time", as: "updatedAt" }
  ]
}

const older = pageOf(`"seq" < ?`, "DESC")

const newer = pageOf(`"seq" > ?`, "ASC")

const Numbered = Schema.Struct({ seq: Schema.Int })

/** The write of a message. */
export const appendWrite = (draft: Draft, { encode }: TimeForm.Form = TimeForm.integer): Write.Write<Place> => {
  const { id, accountId, sessionId, localId, content } = draft
  const now = encode(draft.createdAt)
  return Write.statement(raiseSession, [now, sessionId, accountId], { changes: 1 }).pipe(
    Write.andThen(
      Write.statement(insertNew, [id, localId, JSON.stringify(content), now, now, sessionId], { changes: 1 }).pipe(
        Write.decodeRows(Numbered)
      )
    ),
    AccountCursor.numbered({ accountId, change: { kind: "session", id: sessionId, messageId: id }, changedAt: now }),
    Write.map(([cursor, [row]]) => ({ cursor, seq: row?.seq ?? 0 }))
  )
}

export const make: Effect.Effect<MessageStore["Type"], never, DatabaseReader | Writer> = Effect.gen(function* () {
  const reader = yield* DatabaseReader
  const writer = yield* AccountWriter.make
  const form = yield* TimeForm.TimeForm
  return MessageStore.of({
    append: (draft) => writer.write(draft.accountId, Lane.data, appendWrite(draft, form)),
    appendAll: (drafts) => {
      const accountId = drafts[0]?.accountId
      if (accountId === undefined) return Effect.succeed([])
      return writer.write(accountId, Lane.data, Write.all(drafts.map((draft) => appendWrite(draft, form))))
    },
    findById: (accountId, sessionId, id) => reader.first(Message, selectById, [sessionId, accountId, id]),
    findByLocalId: (accountId, sessionId, localId) =>
      reader.first(Message, selectByLocalId, [sessionId, accountId, localId]),
    findReceipts: (accountId, sessionId, localIds) =>
      reader.rowsAside("point", Receipt, selectReceipts(reader.dialect), [
        sessionId,
        accountId,
        JSON.stringify(localIds)
      ]),
    page: (accountId, sessionId, range, limit) => {
      const [page, from] = "before" in range ? [older, range.before] : [newer, range.after]
      return BoundedList.read(reader, page, shape, [sessionId, accountId, from], limit)
    }
  })
})

export const layer: Layer.Layer<MessageStore, never, DatabaseReader | Writer> = Layer.effect(MessageStore, make)
