/**
 * What is written: the same text for every strategy, besides the flush of heartbeats, which is what they differ in.
 */
import type { PresenceKey, PresenceKind } from "./PresenceKey.ts"
import type { SqlValue, Statement } from "presence-effect/writer/Write"
import { type Arrival, accountId } from "./Workload.ts"

const statement = (sql: string, params: ReadonlyArray<SqlValue>): Statement => ({ sql, params, changes: "any" })

/** Numbers the change by the account's cursor, as every change a client must hear of. */
const numbered = (kind: "machine" | "session", id: string, nowMillis: number): ReadonlyArray<Statement> => [
  statement(`UPDATE "Account" SET "seq" = "seq" + 1 WHERE "id" = ?`, [accountId]),
  statement(
    `INSERT INTO "AccountChange" ("accountId", "kind", "entityId", "cursor", "changedAt")
       SELECT "id", ?, ?, "seq", ? FROM "Account" WHERE "id" = ?
       ON CONFLICT ("accountId", "kind", "entityId")
       DO UPDATE SET "cursor" = "excluded"."cursor", "changedAt" = "excluded"."changedAt"`,
    [kind, id, nowMillis, accountId]
  )
]

/** A machine that registers again keeps its row: its first attempt may have arrived after all. */
const registration = (id: string, nowMillis: number): ReadonlyArray<Statement> => [
  statement(
    `INSERT INTO "Machine" ("id", "accountId", "metadata", "active", "lastActiveAt", "createdAt", "updatedAt")
       VALUES (?, ?, ?, FALSE, ?, ?, ?) ON CONFLICT ("id") DO NOTHING`,
    [id, accountId, "ciphertext", nowMillis, nowMillis, nowMillis]
  ),
  ...numbered("machine", id, nowMillis)
]

const message = (session: string, id: string, nowMillis: number): ReadonlyArray<Statement> => [
  statement(`UPDATE "Session" SET "seq" = "seq" + 1 WHERE "id" = ?`, [session]),
  statement(
    `INSERT INTO "SessionMessage" ("id", "sessionId", "localId", "seq", "content", "createdAt", "updatedAt")
       SELECT ?, "id", ?, "seq", ?, ?, ? FROM "Session" WHERE "id" = ?`,
    [id, id, `{"c":"ciphertext"}`, nowMillis, nowMillis, session]
  ),
  ...numbered("session", session, nowMillis)
]

const report = (session: string, id: string, nowMillis: number): ReadonlyArray<Statement> => [
  statement(
    `INSERT INTO "UsageReport" ("id", "key", "accountId", "sessionId", "data", "createdAt", "updatedAt")
       VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT ("accountId", "sessionId", "key") DO UPDATE SET "data" = "excluded"."data"`,
    [id, "tokens", accountId, session, `{"tokens":{"total":1}}`, nowMillis, nowMillis]
  )
]

export const ofArrival = ({ id, kind, subject }: Arrival, nowMillis: number): ReadonlyArray<Statement> => {
  if (kind === "registration") return registration(id, nowMillis)
  return kind === "message" ? message(subject, id, nowMillis) : report(subject, id, nowMillis)
}

/** One row that has given a sign of life since the last tick. */
export interface DirtyRow {
  readonly key: PresenceKey
  readonly seenAtMillis: number
}

/** The same with the placeholders of PostgreSQL. No text has a question mark in quotes. */
export const numberedText = (sql: string): string => {
  let count = 0
  return sql.replaceAll("?", () => `$${++count}`)
}

const tableOf: Record<PresenceKind, string> = { session: `"Session"`, machine: `"Machine"` }

export const updateRow = ({ key, seenAtMillis }: DirtyRow): Statement =>
  statement(`UPDATE ${tableOf[key.kind]} SET "active" = TRUE, "lastActiveAt" = ? WHERE "id" = ?`, [
    seenAtMillis,
    key.id
  ])

/** Three values per row, and SQLite binds 32 766 at most. */
const caseRowMax = 10_000

/** PostgreSQL takes the type of a branch from its text. */
const branches = { sqlite: "WHEN ? THEN ?", postgres: "WHEN ? THEN ?::bigint" } as const

/** One literal CASE per table, split where SQLite would refuse it. */
export const caseWhen = (rows: ReadonlyArray<DirtyRow>, database: keyof typeof branches): ReadonlyArray<Statement> =>
  (["session", "machine"] as const).flatMap((kind) => {
    const ofKind = rows.filter(({ key }) => key.kind === kind)
    const parts = Array.from({ length: Math.ceil(ofKind.length / caseRowMax) }, (_, index) =>
      ofKind.slice(index * caseRowMax, (index + 1) * caseRowMax)
    )
    return parts.map((part) =>
      statement(
        `UPDATE ${tableOf[kind]} SET "active" = TRUE,
           "lastActiveAt" = CASE "id" ${part.map(() => branches[database]).join(" ")}
           END WHERE "id" IN (${part.map(() => "?").join(", ")})`,
        [...part.flatMap(({ key, seenAtMillis }) => [key.id, seenAtMillis]), ...part.map(({ key }) => key.id)]
      )
    )
  })
