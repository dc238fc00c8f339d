/**
 * The number of an account's newest change, and the row of the feed that
 * describes it.
 *
 * Both are part of the write whose change they number, so a number is never
 * visible before its data, and a client that reads the feed from a number on
 * misses nothing.
 */
import { Effect, Schema } from "effect"
import * as Write from "presence-effect/writer/Write"
import type { WriteConflict } from "presence-effect/writer/WriterError"
import { type Dialect, sqlite } from "../database/Dialect.ts"
import type { DatabaseReader, ReadFailed } from "../database/DatabaseReader.ts"
import { invalidToken, type Unauthorized } from "../Failure.ts"

/**
 * The subject of a change. A message is a change of its session, and the feed
 * hints at the newest one. A deleted session keeps its line in the feed.
 */
export type Change =
  | { readonly kind: "account" }
  | { readonly kind: "machine"; readonly id: string }
  | { readonly kind: "artifact"; readonly id: string }
  /** All key-value pairs of an account are one entity. The hint names the keys that changed. */
  | { readonly kind: "kv"; readonly keys: ReadonlyArray<string> }
  | { readonly kind: "session"; readonly id: string; readonly messageId?: string; readonly isGone?: boolean }

export interface Numbering {
  readonly accountId: string
  readonly change: Change
  /** In the form of the database. */
  readonly changedAt: number | string
  /** The words of the database, which only the hint of key-value pairs needs. SQLite's unless given. */
  readonly dialect?: Dialect
}

const Raised = Schema.Struct({ seq: Schema.Int })

const raise = (accountId: string): Write.Write<number> =>
  Write.statement(`UPDATE "Account" SET "seq" = "seq" + 1 WHERE "id" = ? RETURNING "seq"`, [accountId], {
    changes: 1
  }).pipe(
    Write.decodeRows(Raised),
    Write.map(([row]) => row?.seq ?? 0)
  )

/** A hint with more keys than this only means that everything has to be read again. */
const hintedKeysMax = 50

const fullHint = JSON.stringify({ full: true })

/** The keys of the stored hint and the new ones: a client that missed both batches reads both. */
const mergedKeys = ({ arrayOf, hasMember, objectOf, textsIn }: Dialect) => {
  const [stored, added] = [`"AccountChange"."hint"`, `excluded."hint"`]
  return `CASE WHEN ${hasMember(stored, "keys")} AND ${hasMember(added, "keys")} THEN (
    SELECT CASE WHEN count(*) > ${hintedKeysMax} THEN '${fullHint}' ELSE ${objectOf("keys", arrayOf("value"))} END
    FROM (${textsIn(stored, "keys")} UNION ${textsIn(added, "keys")}) AS "merged"
  ) ELSE '${fullHint}' END`
}

// The hint at the newest message of a session is kept by later changes of that session: a client that missed both
// changes still learns of the message.
const recordChange = (keys: string) => `INSERT INTO "AccountChange"
    ("accountId", "kind", "entityId", "cursor", "changedAt", "hint", "sessionId", "machineId")
  SELECT "id", ?, ?, "seq", ?, coalesce(?, (
    SELECT '{"lastMessageSeq":' || "seq" || ? FROM "SessionMessage" WHERE "id" = ?
  )), ?, ? FROM "Account" WHERE "id" = ?
  ON CONFLICT ("accountId", "kind", "entityId") DO UPDATE SET
    "cursor" = excluded."cursor", "changedAt" = excluded."changedAt",
    "hint" = CASE
      WHEN excluded."kind" = 'kv' THEN ${keys}
      WHEN excluded."sessionId" IS NULL THEN NULL
      ELSE coalesce(excluded."hint", "AccountChange"."hint") END,
    "sessionId" = excluded."sessionId", "machineId" = excluded."machineId"`

/** An account has one line in the feed for its settings, and one for its key-value pairs. */
const entityOf = (change: Change) => ("id" in change ? change.id : "self")

const hintOf = (change: Change) => {
  if (change.kind !== "kv") return null
  const keys = [...new Set(change.keys)]
  return keys.length > hintedKeysMax ? fullHint : JSON.stringify({ keys })
}

/** The statement for each kind of change but `kv`. */
const recordPlain = recordChange("NULL")

const recordKeys = new Map<Dialect, string>()

/** Made once for a dialect. */
const recordKeysOf = (dialect: Dialect): string => {
  const known = recordKeys.get(dialect)
  if (known !== undefined) return known
  const made = recordChange(mergedKeys(dialect))
  recordKeys.set(dialect, made)
  return made
}

const record = ({ accountId, change, changedAt, dialect = sqlite }: Numbering) => {
  const messageId = change.kind === "session" ? (change.messageId ?? null) : null
  const sessionId = change.kind === "session" && change.isGone !== true ? change.id : null
  const machineId = change.kind === "machine" ? change.id : null
  return Write.statement(
    change.kind === "kv" ? recordKeysOf(dialect) : recordPlain,
    [
      change.kind,
      entityOf(change),
      changedAt,
      hintOf(change),
      `,"lastMessageId":${JSON.stringify(messageId)}}`,
      messageId,
      sessionId,
      machineId,
      accountId
    ],
    { changes: 1 }
  )
}

/**
 * Makes a write one that changes the account: it takes the next number, is
 * recorded in the feed under it, and returns it.
 *
 * **Details**
 *
 * - The number is taken first. `WriteConflict` of statement 0 means that the
 *   account does not exist; the statements of `write` count from 1.
 * - The feed is written last, because its line refers to a row that `write` may
 *   create.
 */
export const numbered =
  (numbering: Numbering) =>
  <A>(write: Write.Write<A>): Write.Write<readonly [cursor: number, result: A]> =>
    raise(numbering.accountId).pipe(
      Write.zip(write),
      Write.zip(record(numbering)),
      Write.map(([result]) => result),
      // Of writes that share a commit, those of one account follow each other: no two commits wait for each other.
      Write.withLock(numbering.accountId)
    )

/**
 * Distinguishes the two conflicts of a numbered write: fails with
 * `Unauthorized` when the account of the token no longer exists, and succeeds
 * when a row was not as expected.
 */
export const requireAccount = (conflict: WriteConflict): Effect.Effect<void, Unauthorized> =>
  conflict.statement === 0 ? invalidToken : Effect.void

const selectNewest = `SELECT coalesce(
    (SELECT "cursor" FROM "AccountChange" WHERE "accountId" = "Account"."id" AND "kind" = ? AND "entityId" = ?), "seq"
  ) AS "cursor" FROM "Account" WHERE "id" = ?`

const Newest = Schema.Struct({ cursor: Schema.Int })

/**
 * The cursor of the newest change of an entity; where the feed has none, that of
 * the account.
 */
export const newest = (
  reader: Pick<DatabaseReader["Type"], "rows">,
  { accountId, change }: Pick<Numbering, "accountId" | "change">
): Effect.Effect<number, ReadFailed> =>
  Effect.map(reader.rows(Newest, selectNewest, [change.kind, entityOf(change), accountId]), ([row]) => row?.cursor ?? 0)
