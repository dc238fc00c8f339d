/** A session: its row, and what clients see of it. */
import { Schema } from "effect"
import { WellFormed } from "../SoundValue.ts"
import { StoredTime, StoredTimeOrNull } from "../database/StoredTime.ts"
import { base64OrNull, StoredBytesOrNull, StoredFlag } from "../database/StoredValue.ts"
import type { Place } from "../database/SessionArchive.ts"
import type * as Liveness from "../entities/Liveness.ts"

/** Schema of a row. */
export const Session = Schema.Struct({
  id: Schema.String,
  tag: Schema.String,
  accountId: Schema.String,
  metadata: Schema.String,
  metadataVersion: Schema.Int,
  agentState: Schema.NullOr(Schema.String),
  agentStateVersion: Schema.Int,
  dataEncryptionKey: StoredBytesOrNull,
  seq: Schema.Int,
  active: StoredFlag,
  /** `null`: the session is not archived. */
  archivedAt: StoredTimeOrNull,
  lastActiveAt: StoredTime,
  createdAt: StoredTime,
  updatedAt: StoredTime
})

export type Session = typeof Session.Type

/** The columns of a row, as they stand in a statement. */
export const columns = `"id", "tag", "accountId", "metadata", "metadataVersion", "agentState", "agentStateVersion",
  "dataEncryptionKey", "seq", "active", "lastActiveAt", "createdAt", "updatedAt"`

/** The same for a row that is read, with the time at which it was archived. */
export const readColumns = ({ archivedAt }: Place): string => `${columns}, ${archivedAt} AS "archivedAt"`

/** Body of a request for a session. Texts are encrypted by the client. */
export const Opening = Schema.Struct({
  tag: WellFormed.pipe(Schema.minLength(1), Schema.maxLength(1024)),
  metadata: WellFormed,
  agentState: Schema.optional(Schema.NullOr(WellFormed)),
  dataEncryptionKey: Schema.optional(Schema.NullOr(Schema.Uint8ArrayFromBase64))
})

export type Opening = typeof Opening.Type

/** A new session, active at once. */
export const make = (accountId: string, id: string, opening: Opening, nowMillis: number): Session => ({
  id,
  tag: opening.tag,
  accountId,
  metadata: opening.metadata,
  metadataVersion: 0,
  agentState: opening.agentState ?? null,
  agentStateVersion: 0,
  dataEncryptionKey: opening.dataEncryptionKey ?? null,
  seq: 0,
  active: true,
  archivedAt: null,
  lastActiveAt: nowMillis,
  createdAt: nowMillis,
  updatedAt: nowMillis
})

/** A session as clients see it. */
export interface SessionView {
  readonly id: string
  readonly seq: number
  readonly metadata: string
  readonly metadataVersion: number
  readonly agentState: string | null
  readonly agentStateVersion: number
  readonly dataEncryptionKey: string | null
  readonly active: boolean
  readonly activeAt: number
  readonly archivedAt: number | null
  readonly createdAt: number
  readonly updatedAt: number
}

export const view = (session: Session, { active, activeAt }: Liveness.Liveness): SessionView => ({
  id: session.id,
  seq: session.seq,
  metadata: session.metadata,
  metadataVersion: session.metadataVersion,
  agentState: session.agentState,
  agentStateVersion: session.agentStateVersion,
  dataEncryptionKey: base64OrNull(session.dataEncryptionKey),
  active,
  activeAt,
  archivedAt: session.archivedAt,
  createdAt: session.createdAt,
  updatedAt: session.updatedAt
})

/** Body of the update `new-session`. */
export const newSession = (session: Session, liveness: Liveness.Liveness) => ({
  t: "new-session",
  sid: session.id,
  ...view(session, liveness)
})
