/** The digest that is kept of a token: a dump of the process contains no token. */
import { createHash } from "node:crypto"

const tokenLengthMax = 2048

/**
 * The key under which a token is remembered. `undefined` for a token that is
 * too long to be ours.
 */
export const digestOf = (token: string): string | undefined =>
  token.length > tokenLengthMax ? undefined : createHash("sha256").update(token).digest("base64url")
