/** A message of a session: its row, and what clients see of it. */
import { Schema } from "effect"
import { WellFormed } from "../SoundValue.ts"
import { StoredTime } from "../database/StoredTime.ts"

/**
 * Schema of a row, as clients see it. The content is theirs: other servers of a
 * file may have stored more kinds of it than this one does.
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

/** A text that its client has encrypted. */
export const Ciphertext = WellFormed.pipe(Schema.minLength(1))

export const localIdLengthMax = 256

const localIdText = WellFormed.pipe(Schema.maxLength(localIdLengthMax))

/**
 * What a client calls a message before it has an id. Whoever sends it twice
 * means one message. An empty one is none.
 */
export const LocalId = Schema.optionalWith(localIdText, {
  nullable: true,
  default: () => ""
})

/** The same, of a message that must have one. */
export const GivenLocalId = localIdText.pipe(Schema.minLength(1))

/** What the sender of a batch learns of each message. */
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
  /** The id that the message gets. One that is stored already answers with that message. */
  readonly id: string
  readonly accountId: string
  readonly sessionId: string
  readonly ciphertext: string
  /** Empty: the message has none. */
  readonly localId: string
  /** The socket that needs not hear of its own message. */
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

/** The message that a stored draft is. */
export const stored = ({ id, localId, content, createdAt }: Draft, seq: number): Message => ({
  id,
  seq,
  content,
  localId,
  createdAt,
  updatedAt: createdAt
})
