/** The write that archives or unarchives a session. */
import * as Write from "presence-effect/writer/Write"
import * as SessionArchive from "../database/SessionArchive.ts"
import * as TimeForm from "../database/TimeForm.ts"
import * as AccountCursor from "../entities/AccountCursor.ts"

export interface Archiving {
  readonly accountId: string
  readonly id: string
  /** Epoch ms. `null`: the session is no longer archived. */
  readonly archivedAt: number | null
}

/** The offline sweep may not have reached the row yet. */
const deactivate = `UPDATE "Session" SET "active" = FALSE, "updatedAt" = ? WHERE "id" = ? AND "accountId" = ?`

const touch = `UPDATE "Session" SET "updatedAt" = ? WHERE "id" = ? AND "accountId" = ?`

const upsertOwn = `INSERT INTO "PresenceSessionArchive" ("sessionId", "archivedAt")
  SELECT "id", ? FROM "Session" WHERE "id" = ? AND "accountId" = ?
  ON CONFLICT ("sessionId") DO UPDATE SET "archivedAt" = excluded."archivedAt"`

const removeOwn = `DELETE FROM "PresenceSessionArchive"
  WHERE "sessionId" IN (SELECT "id" FROM "Session" WHERE "id" = ? AND "accountId" = ?)`

const replaceShared = `UPDATE "Session" SET "archivedAt" = ? WHERE "id" = ? AND "accountId" = ?`

/** The statements that store the time, in the place that the database uses. */
const stored = (
  { accountId, id, archivedAt }: Archiving,
  { isShared }: SessionArchive.Place,
  { encode }: TimeForm.Form
): ReadonlyArray<Write.Write<unknown>> => {
  const time = archivedAt === null ? null : encode(archivedAt)
  if (!isShared && time !== null) return [Write.statement(upsertOwn, [time, id, accountId], { changes: 1 })]
  return [
    Write.statement(removeOwn, [id, accountId]),
    ...(isShared ? [Write.statement(replaceShared, [time, id, accountId])] : [])
  ]
}

/** A later statement than the first conflicts when the session is missing or foreign. */
export const make = (
  archiving: Archiving,
  nowMillis: number,
  place: SessionArchive.Place = SessionArchive.own,
  form: TimeForm.Form = TimeForm.integer
): Write.Write<number> => {
  const { accountId, id, archivedAt } = archiving
  const now = form.encode(nowMillis)
  return Write.statement(archivedAt === null ? touch : deactivate, [now, id, accountId], { changes: 1 }).pipe(
    Write.zip(Write.all(stored(archiving, place, form))),
    AccountCursor.numbered({ accountId, change: { kind: "session", id }, changedAt: now }),
    Write.map(([cursor]) => cursor)
  )
}
