/**
 * Triggers keep what each account stores in `PresenceAccountUsage`, in the transaction of the write that changes it,
 * and refuse a write that would go beyond a limit.
 *
 * In a file they are temporary ones of the connection that writes: triggers in the file would run in every program
 * that opens it, and would break migrations that make a table anew. PostgreSQL has no temporary triggers on tables
 * that stay: there they are part of the schema, and each session sets what its writes may add.
 */
import * as CountedTable from "./CountedTable.ts"
import type { Limits } from "./QuotaKnobs.ts"

/** What a limit is on. */
export type QuotaKind = "bytes" | "rows"

const refusalOf: { readonly [kind in QuotaKind]: string } = {
  bytes: "account quota: bytes",
  rows: "account quota: rows"
}

/** Of a refusal by a trigger: SQLite's, and the one of our triggers in PostgreSQL. */
const refusalCodes = new Set(["SQLITE_CONSTRAINT_TRIGGER", "QT001"])

/** Which limit the engine's refusal of a write is about. */
export const kindOf = (failure: { readonly code: string; readonly detail: string }): QuotaKind | undefined => {
  if (!refusalCodes.has(failure.code)) return undefined
  return (["bytes", "rows"] as const).find((kind) => failure.detail === refusalOf[kind])
}

/** What exists may grow a tenth beyond the limit: an agent at the limit must be able to ask for a permission. */
export const growthBytes = ({ bytes }: Limits): number => Math.floor(bytes * 1.1)

const refuse = (kind: QuotaKind, owner: string, condition: string) =>
  `SELECT RAISE(ABORT, '${refusalOf[kind]}') FROM "PresenceAccountUsage"
    WHERE "accountId" = ${owner} AND ${condition};`

const add = (table: CountedTable.CountedTable, row: "NEW" | "OLD") => {
  const sign = row === "NEW" ? "+" : "-"
  return `UPDATE "PresenceAccountUsage" SET
      "byteCount" = "byteCount" ${sign} (${CountedTable.sizeOf(table, row)}),
      "rowCount" = "rowCount" ${sign} ${table.hasRows ? 1 : 0}
    WHERE "accountId" = ${table.ownerOf(row)};`
}

const trigger = (name: string, event: string, body: ReadonlyArray<string>) =>
  `CREATE TEMP TRIGGER "presence_quota_${name}" ${event} BEGIN ${body.join("\n")} END`

const triggersOf = (limits: Limits, table: CountedTable.CountedTable): ReadonlyArray<string> => {
  const { columns, hasRows, isEnd, ownerColumn, ownerOf } = table
  const on = `ON main."${table.table}"`
  const [before, after] = [CountedTable.sizeOf(table, "OLD"), CountedTable.sizeOf(table, "NEW")]
  const inserted = trigger(`insert_${table.table}`, `AFTER INSERT ${on}`, [
    add(table, "NEW"),
    ...(isEnd
      ? []
      : [
          refuse("bytes", ownerOf("NEW"), `"byteCount" > ${limits.bytes}`),
          refuse("rows", ownerOf("NEW"), `"rowCount" > ${limits.rows}`)
        ])
  ])
  const deleted = trigger(`delete_${table.table}`, `AFTER DELETE ${on}`, [add(table, "OLD")])
  // A session that is deleted in several writes changes its owner first. Presence changes other columns.
  const owner = hasRows ? [ownerColumn] : []
  const changed = [...columns, ...owner].map((column) => `"${column}"`).join(", ")
  const updated = trigger(`update_${table.table}`, `AFTER UPDATE OF ${changed} ${on}`, [
    add(table, "OLD"),
    add(table, "NEW"),
    refuse("bytes", ownerOf("NEW"), `"byteCount" > ${growthBytes(limits)} AND (${after}) > (${before})`)
  ])
  return [...(hasRows ? [inserted, deleted] : []), updated]
}

/** An account that is opened stores nothing: it needs no count. Rows without a key belong to the server. */
const opened = trigger("open_Account", `AFTER INSERT ON main."Account" WHEN length(NEW."publicKey") = 64`, [
  `INSERT INTO "PresenceAccountUsage" ("accountId", "byteCount", "rowCount", "isCounted", "recountCount")
    VALUES (NEW."id", coalesce(octet_length(NEW."settings"), 0), 0, 1, 0) ON CONFLICT DO NOTHING;`
])

/** The statements that prepare the connection that writes to a file. None without a quota. */
export const setup = (limits: Limits | undefined): ReadonlyArray<string> =>
  limits === undefined ? [] : [opened, ...CountedTable.tables.flatMap((table) => triggersOf(limits, table))]

/**
 * The statements that prepare each session that writes to PostgreSQL.
 *
 * A server that is alone and has no quota switches the triggers off. Beside other servers it lets them count: all
 * servers share the totals of an account, whatever each of them refuses.
 */
export const sessionSetup = (limits: Limits | undefined, isAlone: boolean): ReadonlyArray<string> => {
  if (limits === undefined) return isAlone ? [countsNothing("SESSION")] : []
  return [
    `SET presence_quota.bytes = ${limits.bytes}`,
    `SET presence_quota.growth_bytes = ${growthBytes(limits)}`,
    `SET presence_quota.rows = ${limits.rows}`
  ]
}

/** Switches the triggers off, for a session or the rest of a transaction. Totals stay as they are. */
export const countsNothing = (span: "SESSION" | "LOCAL"): string => `SET ${span} presence_quota.counts = 'off'`
