/** Sessions in the database. */
import { type Array as Arr, Context, Effect, Layer, type Option, type Scope } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import type { Writer } from "presence-effect/writer/Writer"
import * as Write from "presence-effect/writer/Write"
import { DatabaseReader, type ReadFailed } from "../database/DatabaseReader.ts"
import * as SessionArchive from "../database/SessionArchive.ts"
import * as TimeForm from "../database/TimeForm.ts"
import * as AccountCursor from "../entities/AccountCursor.ts"
import type * as CompareAndSet from "../entities/CompareAndSet.ts"
import * as ArchiveWrite from "./ArchiveWrite.ts"
import { columns, readColumns, Session } from "./Session.ts"
import * as SessionRemoval from "./SessionRemoval.ts"
import * as AccountWriter from "../quota/AccountWriter.ts"
import type { WriteFailure } from "../quota/AccountWriter.ts"

type MaybeSession = Effect.Effect<Option.Option<Session>, ReadFailed>

/** The two texts of a session that change under compare-and-set. */
export type SessionText = "metadata" | "agentState"

/** One text of a compare-and-set. Only the state may be `null`. */
export type TextChange = CompareAndSet.TextChange<SessionText>

/** Texts that are replaced together or not at all, each at most once. */
export interface Replacement {
  readonly accountId: string
  readonly id: string
  readonly changes: Arr.NonEmptyReadonlyArray<TextChange>
}

export class SessionStore extends Context.Tag("light-server/SessionStore")<
  SessionStore,
  {
    readonly findById: (accountId: string, id: string) => MaybeSession
    readonly findByTag: (accountId: string, tag: string) => MaybeSession
    /**
     * Returns the cursor of the account that numbers the new session. Fails with
     * `WriteConflict` of statement 0 when the account does not exist, and of statement
     * 1 when the tag is taken.
     */
    readonly insert: (session: Session) => Effect.Effect<number, WriteFailure>
    /** The same for texts: a later statement conflicts when the session is missing, foreign, or at another version. */
    readonly replace: (replacement: Replacement) => Effect.Effect<number, WriteFailure>
    /** The same for the archive: a later statement conflicts when the session is missing or foreign. */
    readonly archive: (archiving: ArchiveWrite.Archiving) => Effect.Effect<number, WriteFailure>
    readonly remove: SessionRemoval.SessionRemoval["remove"]
  }
>() {}

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

/** The write of a new session. */
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

/** The write of a compare-and-set. */
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

export const make: Effect.Effect<SessionStore["Type"], never, DatabaseReader | Writer | Scope.Scope> = Effect.gen(
  function* () {
    const reader = yield* DatabaseReader
    const writer = yield* AccountWriter.make
    const form = yield* TimeForm.TimeForm
    const place = yield* SessionArchive.SessionArchive
    const select = `SELECT ${readColumns(place)} FROM "Session" WHERE "accountId" = ?`
    const { remove } = yield* SessionRemoval.make
    return SessionStore.of({
      findById: (accountId, id) => reader.first(Session, `${select} AND "id" = ?`, [accountId, id]),
      findByTag: (accountId, tag) => reader.first(Session, `${select} AND "tag" = ?`, [accountId, tag]),
      insert: (session) => writer.write(session.accountId, Lane.control, insertWrite(session, form)),
      replace: (replacement) =>
        Effect.suspend(() =>
          writer.write(replacement.accountId, Lane.data, replaceWrite(replacement, Date.now(), form))
        ),
      archive: (archiving) =>
        Effect.suspend(() =>
          writer.write(archiving.accountId, Lane.control, ArchiveWrite.make(archiving, Date.now(), place, form))
        ),
      remove
    })
  }
)

export const layer: Layer.Layer<SessionStore, never, DatabaseReader | Writer> = Layer.scoped(SessionStore, make)
