/** Verifies a handshake: its account and its scope. */
import { Effect } from "effect"
import type { PresenceKey } from "../../entities/PresenceKey.ts"
import type { ReadFailed } from "../../database/DatabaseReader.ts"
import { idLengthMax } from "../../database/Ids.ts"
import {
  type AccountDisabled,
  invalidSocketToken,
  machineRevoked,
  type TooManyRequests,
  type Unauthorized
} from "../../Failure.ts"
import { type ConnectionScope, presenceKey } from "../Connection.ts"
import { Ownership } from "../../entities/Ownership.ts"
import type { Verdict } from "../Socket.ts"

/**
 * The handshake cannot be accepted now, and the client comes back.
 *
 * - `unregistered`: the row the machine speaks for does not exist yet: its
 *   registration may be under way.
 * - `bad-tokens`: too many bad tokens came from its address, so this one was not
 *   verified.
 * - `disabled`: the operator has disabled its account, and may enable it again.
 */
export type RetryableRefusal =
  | { readonly _tag: "RetryableRefusal"; readonly reason: "unregistered"; readonly key: PresenceKey }
  | { readonly _tag: "RetryableRefusal"; readonly reason: "bad-tokens" | "disabled" }

const textIn = (auth: unknown, field: string): string => {
  const value = typeof auth === "object" && auth !== null ? (auth as { readonly [field: string]: unknown })[field] : ""
  return typeof value === "string" ? value : ""
}

/** The token of the handshake, or an empty text. */
export const tokenOf = (auth: unknown): string => textIn(auth, "token")

const refused = (message: string): Verdict => ({ _tag: "Refused", message })

const invalidToken = refused(invalidSocketToken)

/** A missing or unknown client type is an app. */
const scopeOf = (auth: unknown): ConnectionScope | Verdict => {
  switch (textIn(auth, "clientType")) {
    case "session-scoped": {
      const sessionId = textIn(auth, "sessionId")
      return sessionId === ""
        ? refused("Session ID required for session-scoped clients")
        : { _tag: "Session", sessionId }
    }
    case "machine-scoped": {
      const machineId = textIn(auth, "machineId")
      return machineId === ""
        ? refused("Machine ID required for machine-scoped clients")
        : { _tag: "Machine", machineId }
    }
    default:
      return { _tag: "User" }
  }
}

/**
 * Verifies the `auth` of a handshake; `authenticate` returns the account of a token.
 *
 * **Details**
 *
 * A session must exist and belong to the account; a machine must neither belong
 * to another account nor be revoked. Anything else is refused for good, mostly
 * with one of four texts that clients recognize.
 *
 * **Errors**: `ReadFailed` when the database cannot be read now; the client should come back.
 */
export const verify = (
  auth: unknown,
  authenticate: (token: string) => Effect.Effect<string, Unauthorized | AccountDisabled | TooManyRequests | ReadFailed>
): Effect.Effect<Verdict | RetryableRefusal, ReadFailed, Ownership> =>
  Effect.gen(function* () {
    const ownership = yield* Ownership
    const token = tokenOf(auth)
    if (token === "") return refused("Missing authentication token")
    const scope = scopeOf(auth)
    if (scope._tag === "Refused" || scope._tag === "Accepted") return scope
    const accountId = yield* authenticate(token)
    const key = presenceKey(accountId, scope)
    if (key === undefined) return { _tag: "Accepted", accountId, scope } as const
    if (key.id.length > idLengthMax) return invalidToken
    const validity = yield* ownership.check(key)
    if (validity === "owned") return { _tag: "Accepted", accountId, scope } as const
    if (validity === "archived") return { _tag: "Accepted", accountId, scope, isArchived: true } as const
    if (validity === "revoked") return refused(machineRevoked)
    return validity === "missing" && key.kind === "machine"
      ? ({ _tag: "RetryableRefusal", reason: "unregistered", key } as const)
      : invalidToken
  }).pipe(
    Effect.catchTags({
      Unauthorized: () => Effect.succeed(invalidToken),
      AccountDisabled: () => Effect.succeed({ _tag: "RetryableRefusal", reason: "disabled" } as const),
      TooManyRequests: () => Effect.succeed({ _tag: "RetryableRefusal", reason: "bad-tokens" } as const)
    })
  )
