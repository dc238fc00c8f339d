/**
 * Sessions in the database.
 *
 * @since 0.1.0
 */
import { Context, Effect, Layer, type Option } from "effect"
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
 * @category models
 * @since 0.1.0
 */
export interface Replacement {
  readonly accountId: string
  readonly id: string
  readonly text: SessionText
  /** Only the state may be `null`. */
  readonly value: string | null
  readonly expectedVersion: number
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
    /** The same for a text: statement 1 conflicts when the session is missing, foreign, or at another version. */
    readonly replace: (replacement: Replacement) => Effect.Effect<number, WriterError>
  }
>() {}

const columns = `"id", "tag", "accountId", "metadata", "metadataVersion", "agentState", "agentStateVersion",
  "dataEncryptionKey", "seq", "active", "lastActiveAt", "createdAt", "updatedAt"`

const select = `SELECT ${columns} FROM "Session" WHERE "accountId" = ?`

const insertNew = `INSERT INTO "Session" (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT ("accountId", "tag") DO NOTHING`

const replaceText: { readonly [text in SessionText]: string } = {
  metadata: `UPDATE "Session" SET "metadata" = ?, "metadataVersion" = "metadataVersion" + 1, "updatedAt" = ?
    WHERE "id" = ? AND "accountId" = ? AND "metadataVersion" = ?`,
  agentState: `UPDATE "Session" SET "agentState" = ?, "agentStateVersion" = "agentStateVersion" + 1, "updatedAt" = ?
    WHERE "id" = ? AND "accountId" = ? AND "agentStateVersion" = ?`
}

/**
 * The write of a new session.
 *
 * @category writes
 * @since 0.1.0
 */
export const insertWrite = (session: Session, { encode }: TimeForm.Form = TimeForm.integer): Write.Write<number> =>
  AccountCursor.raise(session.accountId).pipe(
    Write.zip(
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
      )
    ),
    Write.map(([cursor]) => cursor)
  )

/**
 * The write of a compare-and-set.
 *
 * @category writes
 * @since 0.1.0
 */
export const replaceWrite = (
  replacement: Replacement,
  nowMillis: number,
  { encode }: TimeForm.Form = TimeForm.integer
): Write.Write<number> =>
  AccountCursor.raise(replacement.accountId).pipe(
    Write.zip(
      Write.statement(
        replaceText[replacement.text],
        [replacement.value, encode(nowMillis), replacement.id, replacement.accountId, replacement.expectedVersion],
        { changes: 1 }
      )
    ),
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
    replace: (replacement) => Effect.suspend(() => writer.write(Lane.data, replaceWrite(replacement, Date.now(), form)))
  })
})

/**
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<SessionStore, never, DatabaseReader | SqliteWriter> = Layer.effect(SessionStore, make)
