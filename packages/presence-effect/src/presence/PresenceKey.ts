/**
 * Which row is alive: one session or one machine, with its account.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * @category models
 * @since 0.1.0
 */
export const PresenceKind = Schema.Literal("session", "machine")

/**
 * @category models
 * @since 0.1.0
 */
export type PresenceKind = typeof PresenceKind.Type

/**
 * A row that can be alive. The account is part of the key: no statement and no
 * lookup of this library names a row without it.
 *
 * @category models
 * @since 0.1.0
 */
export interface PresenceKey {
  readonly kind: PresenceKind
  readonly accountId: string
  readonly id: string
}

/**
 * Key of a session of an account.
 *
 * @category constructors
 * @since 0.1.0
 */
export const session = (accountId: string, id: string): PresenceKey => ({ kind: "session", accountId, id })

/**
 * Key of a machine of an account.
 *
 * @category constructors
 * @since 0.1.0
 */
export const machine = (accountId: string, id: string): PresenceKey => ({ kind: "machine", accountId, id })
