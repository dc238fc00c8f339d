/**
 * Sessions in the database.
 *
 * @since 0.1.0
 */
import { Context, Effect, Layer, Option, Schema } from "effect"
import * as Lane from "presence-effect/Lane"
import { SqliteWriter } from "presence-effect/SqliteWriter"
import * as Write from "presence-effect/Write"
import type { WriterError } from "presence-effect/WriterError"
import { DatabaseReader, type ReadFailed } from "../database/DatabaseReader.ts"
import * as TimeForm from "../database/TimeForm.ts"
import * as AccountCursor from "../realtime/AccountCursor.ts"
import { Session } from "./Session.ts"

type Sessions = Effect.Effect<ReadonlyArray<Session>, ReadFailed>
type MaybeSession = Effect.Effect<Option.Option<Session>, ReadFailed>

/**
 * The two texts of a session that change under compare-and-set.
 *
 * @category models
 * @since 0.1.0
 */
export type SessionText = "metadata" | "agentState"

/**
 * One text of a compare-and-set.
 *
 * @category models
 * @since 0.1.0
 */
export interface TextChange {
  readonly text: SessionText
  /** Only the state may be `null`. */
  readonly value: string | null
  readonly expectedVersion: number
}

/**
 * Texts that are replaced together or not at all, each at most once.
 *
 * @category models
 * @since 0.1.0
 */
export interface Replacement {
  readonly accountId: string
  readonly id: string
  readonly changes: ReadonlyArray<TextChange>
}

/**
 * @category services
 * @since 0.1.0
 */
export class SessionStore extends Context.Tag("light-server/SessionStore")<
  SessionStore,
  {
    readonly findById: (accountId: string, id: string) => MaybeSession
    readonly findByTag: (accountId: string, tag: string) => MaybeSession
    /** The last updated first. */
    readonly listUpdated: (accountId: string, limit: number) => Sessions
    /** Sessions that the database holds for active and has seen after `sinceMillis`, the last seen first. */
    readonly listActive: (accountId: string, sinceMillis: number, limit: number) => Sessions
    /** Ids descending, below `beforeId` if there is one. */
    readonly page: (accountId: string, beforeId: string | undefined, limit: number) => Sessions
    /**
     * Returns the cursor of the account that numbers the new session. Fails with
     * `WriteConflict` of statement 0 when the account does not exist, and of statement
     * 1 when the tag is taken.
     */
    readonly insert: (session: Session) => Effect.Effect<number, WriterError>
    /** The same for texts: a later statement conflicts when the session is missing, foreign, or at another version. */
    readonly replace: (replacement: Replacement) => Effect.Effect<number, WriterError>
    /** Deletes a session with its messages and reports. A later statement conflicts when it is missing or foreign. */
    readonly remove: (accountId: string, id: string) => Effect.Effect<number, WriterError | ReadFailed>
  }
>() {}

const columns = `"id", "tag", "accountId", "metadata", "metadataVersion", "agentState", "agentStateVersion",
  "dataEncryptionKey", "seq", "active", "lastActiveAt", "createdAt", "updatedAt"`

const select = `SELECT ${columns} FROM "Session" WHERE "accountId" = ?`

const insertNew = `INSERT INTO "Session" (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT ("accountId", "tag") DO NOTHING`

const replaceText: { readonly [text in SessionText]: string } = {
  metadata: `"metadata" = ?, "metadataVersion" = "metadataVersion" + 1`,
  agentState: `"agentState" = ?, "agentStateVersion" = "agentStateVersion" + 1`
}

const atVersion: { readonly [text in SessionText]: string } = {
  metadata: `AND "metadataVersion" = ?`,
  agentState: `AND "agentStateVersion" = ?`
}

/** More are deleted in several writes, so that nobody waits for one long one. */
const messagesPerWrite = 1000

const hasMoreMessages = `SELECT 1 AS "more" FROM "SessionMessage" WHERE "sessionId" = ?
  LIMIT 1 OFFSET ${messagesPerWrite}`

const ownSession = `SELECT "id" FROM "Session" WHERE "id" = ? AND "accountId" = ?`

const removeOldestMessages = `DELETE FROM "SessionMessage" WHERE "id" IN (
    SELECT "id" FROM "SessionMessage" WHERE "sessionId" IN (${ownSession}) ORDER BY "seq" LIMIT ${messagesPerWrite}
  )`

/**
 * Rows of a session in a table that this server does not know: those of other
 * servers of the file, which would keep the session from being deleted.
 */
const Belonging = Schema.Struct({ table: Schema.String, column: Schema.String })

const selectBelongings = `SELECT t."name" AS "table", f."from" AS "column"
  FROM sqlite_schema AS t, pragma_foreign_key_list(t."name") AS f
  WHERE t."type" = 'table' AND f."table" = 'Session' AND f."on_delete" IN ('RESTRICT', 'NO ACTION')
    AND t."name" <> 'SessionMessage'`

const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`

/**
 * The write of a new session.
 *
 * @category writes
 * @since 0.1.0
 */
export const insertWrite = (session: Session, { encode }: TimeForm.Form = TimeForm.integer): Write.Write<number> =>
  Write.statement(
    insertNew,
    [
      session.id,
      session.tag,
      session.accountId,
      session.metadata,
      session.metadataVersion,
      session.agentState,
      session.agentStateVersion,
      session.dataEncryptionKey,
      session.seq,
      session.active ? 1 : 0,
      encode(session.lastActiveAt),
      encode(session.createdAt),
      encode(session.updatedAt)
    ],
    { changes: 1 }
  ).pipe(
    AccountCursor.numbered({
      accountId: session.accountId,
      change: { kind: "session", id: session.id },
      changedAt: encode(session.createdAt)
    }),
    Write.map(([cursor]) => cursor)
  )

/**
 * The write of a compare-and-set.
 *
 * @category writes
 * @since 0.1.0
 */
export const replaceWrite = (
  { accountId, id, changes }: Replacement,
  nowMillis: number,
  { encode }: TimeForm.Form = TimeForm.integer
): Write.Write<number> =>
  Write.statement(
    `UPDATE "Session" SET ${changes.map(({ text }) => replaceText[text]).join(", ")}, "updatedAt" = ?
      WHERE "id" = ? AND "accountId" = ? ${changes.map(({ text }) => atVersion[text]).join(" ")}`,
    [
      ...changes.map(({ value }) => value),
      encode(nowMillis),
      id,
      accountId,
      ...changes.map(({ expectedVersion }) => expectedVersion)
    ],
    { changes: 1 }
  ).pipe(
    AccountCursor.numbered({ accountId, change: { kind: "session", id }, changedAt: encode(nowMillis) }),
    Write.map(([cursor]) => cursor)
  )

/**
 * The write that deletes a session, the reports about it, its messages, and what
 * else belongs to it. Its line in the feed stays, so that whoever was away hears
 * of it.
 *
 * @category writes
 * @since 0.1.0
 */
export const removeWrite = (
  accountId: string,
  id: string,
  belongings: ReadonlyArray<typeof Belonging.Type>,
  nowMillis: number,
  { encode }: TimeForm.Form = TimeForm.integer
): Write.Write<number> =>
  Write.all(
    [
      { table: "UsageReport", column: "sessionId" },
      { table: "SessionMessage", column: "sessionId" },
      ...belongings
    ].map(({ table, column }) =>
      Write.statement(`DELETE FROM ${quoted(table)} WHERE ${quoted(column)} IN (${ownSession})`, [id, accountId])
    )
  ).pipe(
    Write.zip(
      Write.statement(`DELETE FROM "Session" WHERE "id" = ? AND "accountId" = ?`, [id, accountId], { changes: 1 })
    ),
    AccountCursor.numbered({ accountId, change: { kind: "session", id, isGone: true }, changedAt: encode(nowMillis) }),
    Write.map(([cursor]) => cursor)
  )

/**
 * @category constructors
 * @since 0.1.0
 */
export const make: Effect.Effect<SessionStore["Type"], never, DatabaseReader | SqliteWriter> = Effect.gen(function* () {
  const reader = yield* DatabaseReader
  const writer = yield* SqliteWriter
  const form = yield* TimeForm.TimeForm

  /** Leaves no more messages of a session than one write deletes. The oldest go first. */
  const removeSurplus = (accountId: string, id: string) =>
    writer
      .write(
        Lane.data,
        Write.statement(removeOldestMessages, [id, accountId]).pipe(Write.withDurability("process-crash"))
      )
      .pipe(
        Effect.whenEffect(Effect.map(reader.first(Schema.Unknown, hasMoreMessages, [id]), Option.isSome)),
        Effect.repeat({ while: (removed) => Option.isSome(removed) && removed.value.changes > 0 }),
        Effect.asVoid
      )

  return SessionStore.of({
    findById: (accountId, id) => reader.first(Session, `${select} AND "id" = ?`, [accountId, id]),
    findByTag: (accountId, tag) => reader.first(Session, `${select} AND "tag" = ?`, [accountId, tag]),
    listUpdated: (accountId, limit) =>
      reader.rows(Session, `${select} ORDER BY "updatedAt" DESC LIMIT ?`, [accountId, limit]),
    listActive: (accountId, sinceMillis, limit) =>
      reader.rows(Session, `${select} AND "active" = 1 AND "lastActiveAt" > ? ORDER BY "lastActiveAt" DESC LIMIT ?`, [
        accountId,
        form.encode(sinceMillis),
        limit
      ]),
    page: (accountId, beforeId, limit) =>
      beforeId === undefined
        ? reader.rows(Session, `${select} ORDER BY "id" DESC LIMIT ?`, [accountId, limit])
        : reader.rows(Session, `${select} AND "id" < ? ORDER BY "id" DESC LIMIT ?`, [accountId, beforeId, limit]),
    insert: (session) => writer.write(Lane.control, insertWrite(session, form)),
    replace: (replacement) =>
      Effect.suspend(() => writer.write(Lane.data, replaceWrite(replacement, Date.now(), form))),
    remove: (accountId, id) =>
      Effect.gen(function* () {
        yield* removeSurplus(accountId, id)
        const belongings = yield* reader.rows(Belonging, selectBelongings)
        return yield* writer.write(Lane.control, removeWrite(accountId, id, belongings, Date.now(), form))
      })
  })
})

/**
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<SessionStore, never, DatabaseReader | SqliteWriter> = Layer.effect(SessionStore, make)
