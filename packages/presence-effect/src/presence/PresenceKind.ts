/**
 * The kinds of rows that a host keeps online: which there are, where they are stored, and what names a row.
 *
 * @example
 * import { strictEqual } from "node:assert/strict"
 * import * as PresenceKind from "presence-effect/presence/PresenceKind"
 *
 * // Each account chooses its own ids for laptops; a sensor belongs to nobody.
 * const kinds = {
 *   laptop: { accountId: "owner", key: ["accountId", "id"] },
 *   sensor: { table: "sensors", lastActiveAt: "seenAt" }
 * } as const satisfies PresenceKind.PresenceKinds
 *
 * const laptops: ReadonlyArray<PresenceKind.KeyOf<typeof kinds>> = [
 *   { kind: "laptop", accountId: "ann", id: "work" },
 *   { kind: "laptop", accountId: "bob", id: "work" }
 * ]
 * strictEqual(new Set(laptops.map(PresenceKind.rowNameOf(kinds.laptop))).size, 2)
 * strictEqual(PresenceKind.problemsOf(kinds).length, 0)
 *
 * @since 0.3.0
 */
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import type { PresenceKey } from "./PresenceKey.ts"

/**
 * How a kind is stored, and what names one of its rows. Everything has a default, so `{}` declares a kind whose table
 * has the name of the kind and whose rows have no account.
 *
 * **Details**
 *
 * - The table needs an index that begins with the columns of `key`; a primary key is one.
 * - It should have an index on (`active`, `lastActiveAt`): without it each sweep reads the whole table. A warning says
 *   so at the start.
 * - Names may be anything that SQLite can quote: `user-sessions` is one.
 *
 * @category models
 * @since 0.3.0
 */
export interface PresenceKind {
  /** Default: the name of the kind. */
  readonly table?: string
  /** Column of the id, which holds texts or whole numbers. Default: `id`. */
  readonly id?: string
  /** Column of the account that a row belongs to. Absent: rows of this kind have no account. */
  readonly accountId?: string
  /**
   * What names a row. `["id"]`, the default: ids are unique, and a key with the id of another account's row is
   * `foreign`. `["accountId", "id"]`: two accounts may use the same id, for two rows.
   */
  readonly key?: readonly ["id"] | readonly ["accountId", "id"]
  /** Column that says whether a row is online. Default: `active`. */
  readonly active?: string
  /** Column of the newest sign of life. Default: `lastActiveAt`. */
  readonly lastActiveAt?: string
  /**
   * How times are written: epoch milliseconds, or ISO texts. `detect`, the default, looks at the rows when the layer is
   * built; an empty table means `integer`.
   */
  readonly timeForm?: "integer" | "iso" | "detect"
  /**
   * Column with the mark of the replica that serves a row, a text that may be null. For kinds whose rows keep a
   * connection, where several processes write to one database server. Absent: no such mark. The storage of SQLite does
   * not use it: one process is alone with its file.
   *
   * @since 0.4.0
   */
  readonly servedBy?: string
}

/**
 * The kinds of a host by their names. A name is a label of metrics and a word of log lines: letters, digits, `_` and
 * `-`, 64 at most, and a letter first.
 *
 * @category models
 * @since 0.3.0
 */
export interface PresenceKinds {
  readonly [name: string]: PresenceKind
}

/**
 * The key of a row that belongs to an account.
 *
 * @category models
 * @since 0.3.0
 */
export interface AccountKey<Kind extends string> {
  readonly kind: Kind
  readonly accountId: string
  readonly id: string
}

/**
 * The key of a row without an account.
 *
 * @category models
 * @since 0.3.0
 */
export interface PlainKey<Kind extends string> {
  readonly kind: Kind
  readonly id: string
}

type KindWithAccount<Kinds extends PresenceKinds> = {
  readonly [Name in keyof Kinds & string]: Kinds[Name] extends { readonly accountId: string } ? Name : never
}[keyof Kinds & string]

type AccountKeyOf<Kind extends string> = [Kind] extends [never] ? never : AccountKey<Kind>

type PlainKeyOf<Kind extends string> = [Kind] extends [never] ? never : PlainKey<Kind>

/**
 * The keys of rows of declared kinds. A kind without an account has keys without one.
 *
 * @category models
 * @since 0.3.0
 */
export type KeyOf<Kinds extends PresenceKinds> = string extends keyof Kinds
  ? PresenceKey
  : AccountKeyOf<KindWithAccount<Kinds>> | PlainKeyOf<Exclude<keyof Kinds & string, KindWithAccount<Kinds>>>

/**
 * Terms that a kind may have of its own.
 *
 * @category models
 * @since 0.3.0
 */
export interface KindTerms {
  /** An active row is written again only when its newest sign of life is more than this newer than the stored one. */
  readonly persistThreshold: Duration.DurationInput
  /** Older heartbeats are ignored unless the row has an open connection. End markers are remembered for as long. */
  readonly acceptanceWindow: Duration.DurationInput
  /** Silence after which a row without an open connection is shown offline. */
  readonly offlineTimeout: Duration.DurationInput
  /** Time to come back after the last connection closed, before the row is shown offline. */
  readonly disconnectGrace: Duration.DurationInput
}

/**
 * Terms for all kinds, and those in which a kind differs.
 *
 * @category models
 * @since 0.3.0
 */
export interface TermsByKind extends KindTerms {
  readonly kinds?: { readonly [name: string]: Partial<KindTerms> | undefined }
}

/**
 * The terms of one kind.
 *
 * @category getters
 * @since 0.3.0
 */
export const termsOf = (terms: TermsByKind, name: string): KindTerms => {
  const { acceptanceWindow, disconnectGrace, offlineTimeout, persistThreshold } = terms
  return { acceptanceWindow, disconnectGrace, offlineTimeout, persistThreshold, ...terms.kinds?.[name] }
}

/**
 * A key names a kind that the host did not declare: a mistake in the program, so it is thrown and not answered. Nothing
 * was noted and nothing written.
 *
 * @category errors
 * @since 0.3.0
 */
export class KindUndeclared extends Data.TaggedError("KindUndeclared")<{
  readonly kind: string
  readonly declared: ReadonlyArray<string>
}> {
  /** @since 0.3.0 */
  override get message(): string {
    return `no kind ${JSON.stringify(this.kind)} is declared, only ${this.declared.join(", ")}`
  }
}

/**
 * Rows of the kind are named by their account and their id.
 *
 * @category guards
 * @since 0.3.0
 */
export const isKeyedByAccount = ({ key }: PresenceKind): boolean => key !== undefined && key[0] === "accountId"

/**
 * What a key says of a row of one kind.
 *
 * @category models
 * @since 0.3.0
 */
export interface RowKey {
  readonly accountId?: string | undefined
  readonly id: string
}

/**
 * The text that tells rows of one kind apart: the id, or account and id when these name a row together.
 *
 * @category getters
 * @since 0.3.0
 */
export const rowNameOf = (kind: PresenceKind): ((key: RowKey) => string) =>
  isKeyedByAccount(kind) ? ({ accountId = "", id }) => `${accountId.length}:${accountId}${id}` : ({ id }) => id

/**
 * The key of a row, with its account only when the kind has one.
 *
 * @category constructors
 * @since 0.3.0
 */
export const keyOf = (kind: string, accountId: string | undefined, id: string): PresenceKey =>
  accountId === undefined ? { kind, id } : { kind, accountId, id }

/**
 * Everything that is wrong with a declaration, each with the name of its kind.
 *
 * @category getters
 * @since 0.3.0
 */
export const problemsOf = (kinds: PresenceKinds): ReadonlyArray<string> => {
  const problems: Array<string> = []
  if (Object.keys(kinds).length === 0) problems.push("at least one kind must be declared")
  for (const [name, kind] of Object.entries(kinds)) {
    if (!/^[A-Za-z][A-Za-z0-9_-]{0,63}$/.test(name)) {
      problems.push(
        `a kind must be named by a letter and up to 63 letters, digits, _ and -, got ${JSON.stringify(name)}`
      )
    }
    if (isKeyedByAccount(kind) && kind.accountId === undefined) {
      problems.push(`${name}.key names accountId, so ${name}.accountId must name a column`)
    }
  }
  return problems
}
