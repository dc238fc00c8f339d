/**
 * Ids: how long those of clients may be, and those that this server makes.
 *
 * The functions that create ids are not effects, so that a hot callback can use them.
 */
import cuidOf from "@bugsnag/cuid"
import { Schema } from "effect"
import { randomInt } from "node:crypto"
import { WellFormed } from "../SoundValue.ts"

/** Longest id of a machine or a session, in UTF-16 code units. */
export const idLengthMax = 128

/** Id of a machine or a session, as a client sends it. */
export const EntityId = WellFormed.pipe(Schema.minLength(1), Schema.maxLength(idLengthMax))

/** A row of which only the id is read. */
export const IdRow = Schema.Struct({ id: Schema.String })

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

/**
 * Id of an account, a session, a message or a report: 25 characters, the first
 * is `c`, in the order of creation.
 */
export const cuid = (): string => cuidOf()

/** Id of an `update` that clients receive: 12 random letters and digits. */
export const updateId = (): string => Array.from({ length: 12 }, () => alphabet[randomInt(alphabet.length)]).join("")
