/**
 * Ids that this server makes.
 *
 * Plain functions, so that a hot callback can use them.
 */
import cuidOf from "@bugsnag/cuid"
import { randomInt } from "node:crypto"

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

/**
 * Id of an account, a session, a message or a report: 25 characters, the first
 * is `c`, in the order of creation.
 */
export const cuid = (): string => cuidOf()

/** Id of an `update` that clients receive: 12 random letters and digits. */
export const updateId = (): string => Array.from({ length: 12 }, () => alphabet[randomInt(alphabet.length)]).join("")
