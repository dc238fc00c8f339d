/** What is kept of a token that was seen: a dump of the process holds no token. */
import { createHash } from "node:crypto"

const tokenLengthMax = 2048

/**
 * The key under which something is known of a token. Nothing for one that is so
 * long that it is none of ours, and not worth a hash.
 */
export const digestOf = (token: string): string | undefined =>
  token.length > tokenLengthMax ? undefined : createHash("sha256").update(token).digest("base64url")
