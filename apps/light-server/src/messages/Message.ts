/** A message of a session: its row, and what clients see of it. */
import { Schema } from "effect"
import { WellFormed } from "../SoundValue.ts"
import { StoredTime } from "../database/StoredTime.ts"

/**
 * Schema of a row, as clients see it. The content belongs to the clients: other
 * servers of a file may have stored more kinds of it than this one does.
 */
export const Message = Schema.Struct({
  id: Schema.String,
  seq: Schema.Int,
  content: Schema.parseJson(),
  localId: Schema.NullOr(Schema.String),
  createdAt: StoredTime,
  updatedAt: StoredTime
})

export type Message = typeof Message.Type

/** A text that was encrypted by its client. */
export const Ciphertext = WellFormed.pipe(Schema.minLength(1))

export const localIdLengthMax = 256

const localIdText = WellFormed.pipe(Schema.maxLength(localIdLengthMax))

/**
 * The client's own name for a message before it has an id. Two messages with
 * the same local id are one message. An empty one counts as missing.
 */
export const LocalId = Schema.optionalWith(localIdText, {
  nullable: true,
  default: () => ""
})

/** The same, of a message that must have one. */
export const GivenLocalId = localIdText.pipe(Schema.minLength(1))

/** The receipt of one message of a batch. */
export const Receipt = Schema.Struct({
  id: Schema.String,
  seq: Schema.Int,
  localId: Schema.String,
  createdAt: StoredTime,
  updatedAt: StoredTime
})

export type Receipt = typeof Receipt.Type

/** A message as it arrived. */
export interface Sent {
  /** The id that the message gets. A message that is stored already is returned with its own id. */
  readonly id: string
  readonly accountId: string
  readonly sessionId: string
  readonly ciphertext: string
  /** Empty: the message has none. */
  readonly localId: string
  /** The socket of the sender, which does not receive its own message. */
  readonly exceptSocket?: string
}

/** A message that is not stored yet. */
export interface Draft {
  readonly id: string
  readonly accountId: string
  readonly sessionId: string
  readonly localId: string | null
  readonly content: { readonly t: "encrypted"; readonly c: string }
  readonly createdAt: number
}

export const draft = (
  accountId: string,
  sessionId: string,
  sent: { readonly ciphertext: string; readonly localId: string },
  id: string,
  nowMillis: number
): Draft => ({
  id,
  accountId,
  sessionId,
  localId: sent.localId === "" ? null : sent.localId,
  content: { t: "encrypted", c: sent.ciphertext },
  createdAt: nowMillis
})

/** The stored message of a draft. */
export const stored = ({ id, localId, content, createdAt }: Draft, seq: number): Message => ({
  id,
  seq,
  content,
  localId,
  createdAt,
  updatedAt: createdAt
})
