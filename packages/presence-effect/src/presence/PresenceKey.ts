/**
 * Which row is alive: its kind, the account that it belongs to, and its id.
 *
 * @since 0.1.0
 */

/**
 * A row that can be alive. Rows of a kind that was declared with an account carry it: no statement and no lookup of
 * this library names such a row without its account.
 *
 * **Details**
 *
 * - Ids and accounts are compared byte for byte, whatever the collation of the column. A whole number is named by its
 *   decimal text.
 * - Ids and accounts must be well-formed Unicode: a lone surrogate cannot be stored, and is refused.
 *
 * @category models
 * @since 0.1.0
 */
export interface PresenceKey {
  /** One of the kinds that the host declared. */
  readonly kind: string
  /** Absent when the kind was declared without an account. */
  readonly accountId?: string
  readonly id: string
}

/**
 * A text that differs for any two keys that differ.
 *
 * @example
 * import * as PresenceKey from "presence-effect/presence/PresenceKey"
 *
 * const one = { kind: "machine", accountId: "a", id: "bc" }
 * const other = { kind: "machine", accountId: "ab", id: "c" }
 *
 * console.log(PresenceKey.nameOf(one) !== PresenceKey.nameOf(other))
 *
 * @category getters
 * @since 0.3.0
 */
export const nameOf = ({ accountId, id, kind }: PresenceKey): string =>
  `${kind}:${accountId === undefined ? "" : accountId.length}:${accountId ?? ""}${id}`
