/**
 * Everything that is sent to a client, as schemas. Clients refuse answers, acks
 * and updates with an unknown key, so an object here has exactly the named
 * keys.
 */
import { Schema } from "effect"
import {
  Millis,
  Iso,
  Cuid,
  MachineId,
  UpdateId,
  Base64,
  Cursor,
  Version,
  Amounts,
  Valued,
  says,
  BadRequest,
  InvalidParameters,
  SessionNotFound
} from "./Words.ts"

export * from "./SharedShapes.ts"
export { BadRequest, BadJson, TooLarge, BadMedia, NoRoute, Later, Done, Invalid } from "./Words.ts"

const { Array: List, Boolean, Literal, NonNegativeInt, Null, NullOr, String, Struct, Union } = Schema

/** The content of an answer that is not JSON. */
export const Text = String

// Accounts.

export const Login = Struct({ success: Literal(true), token: Schema.NonEmptyString })
export const NoLogin = says("Invalid public key", "Invalid signature")
export const NoSignUp = says("signup-disabled")
export const NoContentKey = Union(
  BadRequest,
  says(
    "contentPublicKey and contentPublicKeySig go together",
    "Invalid contentPublicKey",
    "Invalid contentPublicKeySig"
  )
)
export const Pairing = Union(
  Struct({ state: Literal("requested") }),
  Struct({ state: Literal("authorized"), token: Schema.NonEmptyString, response: String })
)
export const PairingStatus = Struct({ status: Literal("not_found", "pending", "authorized"), supportsV2: Boolean })
export const NoPairingKey = says("Invalid public key")
export const NoPairing = says("Request not found")
export const Profile = Struct({
  id: Cuid,
  timestamp: Millis,
  firstName: NullOr(String),
  lastName: NullOr(String),
  username: NullOr(String),
  avatar: Null,
  github: Null,
  connectedServices: List(String)
})
export const Settings = Struct({ settings: NullOr(String), settingsVersion: Version })
export const SettingsReplaced = Union(
  Struct({ success: Literal(true), version: Version }),
  Struct({
    success: Literal(false),
    error: Literal("version-mismatch"),
    currentVersion: Version,
    currentSettings: NullOr(String)
  })
)
const Gate = Struct({ enabled: Boolean })
export const Features = Struct({
  features: Struct({
    sessionSharing: Boolean,
    publicSharing: Boolean,
    contentKeys: Boolean,
    sharing: Struct({ session: Gate, public: Gate, contentKeys: Gate, pendingQueueV2: Gate }),
    social: Struct({ friends: Gate }),
    voice: Gate,
    auth: Struct({ login: Struct({ keyChallenge: Gate }) })
  }),
  capabilities: Struct({ server: Schema.optional(Struct({ canonicalServerUrl: String })) })
})
export const Ping = Struct({ ok: Literal(true) })

// Machines.

const machine = {
  metadata: String,
  metadataVersion: Version,
  daemonState: NullOr(String),
  daemonStateVersion: Version,
  dataEncryptionKey: NullOr(Base64),
  active: Boolean,
  activeAt: Millis,
  createdAt: Millis,
  updatedAt: Millis
}
const MachineWithSeq = Struct({ id: MachineId, seq: NonNegativeInt, ...machine })
export const Registered = Struct({ machine: Struct({ id: MachineId, ...machine }) })
export const Machines = List(MachineWithSeq)
export const OneMachine = Struct({ machine: MachineWithSeq })
export const Revoked = Struct({
  machine: Struct({ id: MachineId, seq: NonNegativeInt, ...machine, revokedAt: Millis })
})
export const NoMachine = says("Machine not found")
export const MachineConflict = Struct({ error: Literal("machine_id_conflict"), message: String })

// Sessions.

const session = {
  id: Cuid,
  seq: NonNegativeInt,
  metadata: String,
  metadataVersion: Version,
  agentState: NullOr(String),
  agentStateVersion: Version,
  dataEncryptionKey: NullOr(Base64),
  active: Boolean,
  activeAt: Millis,
  archivedAt: NullOr(Millis),
  createdAt: Millis,
  updatedAt: Millis
}
const ListedSession = Struct({ ...session, lastMessage: Null })
const SharedSession = Struct({ ...session, share: Null })
export const Opened = Struct({ session: ListedSession })
export const Sessions = Struct({ sessions: List(ListedSession) })
export const ActiveSessions = Struct({ sessions: List(Struct(session)) })
export const SessionPage = Struct({
  sessions: List(SharedSession),
  nextCursor: NullOr(String.pipe(Schema.pattern(/^cursor_v1_c[0-9a-z]{24}$/))),
  hasNext: Boolean
})
export const NoSessionPage = Union(BadRequest, says("Invalid cursor format"))
export const OneSession = Struct({ session: SharedSession })
export const NoSession = SessionNotFound
export const Archived = Struct({ success: Literal(true), archivedAt: Millis })
export const Unarchived = Struct({ success: Literal(true), archivedAt: Null })
export const NoArchiving = says("Forbidden")
export const StillActive = says("session-active")
export const Patched = Union(
  Struct({
    success: Literal(true),
    metadata: Schema.optional(Struct({ version: Version })),
    agentState: Schema.optional(Struct({ version: Version }))
  }),
  Struct({
    success: Literal(false),
    error: Literal("version-mismatch"),
    metadata: Schema.optional(Valued),
    agentState: Schema.optional(Valued)
  })
)

// Messages and the feed.

const Content = Struct({ t: Literal("encrypted"), c: Schema.NonEmptyString })
const Message = Struct({
  id: Cuid,
  seq: Cursor,
  content: Content,
  localId: NullOr(String),
  createdAt: Millis,
  updatedAt: Millis
})
export const Sent = Struct({
  message: Struct({ id: Cuid, seq: Cursor, localId: NullOr(String), createdAt: Millis })
})
export const MessagePage = Struct({
  messages: List(Message),
  hasMore: Boolean,
  nextBeforeSeq: NullOr(Cursor),
  nextAfterSeq: NullOr(Cursor)
})
export const SentBatch = Struct({
  messages: List(
    Struct({ id: Cuid, seq: Cursor, localId: Schema.NonEmptyString, createdAt: Millis, updatedAt: Millis })
  )
})
export const MessageSlice = Struct({ messages: List(Message), hasMore: Boolean })
export const NoMessageSlice = Union(BadRequest, says("Cannot specify both after_seq and before_seq"))
export const Changes = Struct({
  changes: List(
    Struct({
      cursor: Cursor,
      kind: Literal("account", "artifact", "kv", "machine", "session"),
      entityId: String,
      changedAt: Millis,
      hint: NullOr(
        Union(
          Struct({ lastMessageSeq: Cursor, lastMessageId: Cuid }),
          Struct({ keys: List(String) }),
          Struct({ full: Literal(true) })
        )
      )
    })
  ),
  nextCursor: NonNegativeInt
})
export const MachineRevoked = Struct({ error: Literal("machine_revoked") })

export const CursorGone = Struct({ error: Literal("cursor-gone"), currentCursor: NonNegativeInt })
export const Bounds = Struct({ cursor: NonNegativeInt, changesFloor: NonNegativeInt })

// Usage.

const receipt = { reportId: Cuid, createdAt: Millis, updatedAt: Millis }
export const Receipt = Struct({ success: Literal(true), ...receipt })
export const NoReceipt = InvalidParameters
export const Usage = Struct({
  usage: List(
    Struct({
      timestamp: Schema.Int.pipe(Schema.between(1_600_000_000, 9_999_999_999)),
      tokens: Amounts,
      cost: Amounts,
      reportCount: Cursor
    })
  ),
  groupBy: Literal("hour", "day"),
  totalReports: NonNegativeInt
})

// The server itself.

const service = Literal("happier-server")
export const Alive = Struct({ status: Literal("ok") })
export const Health = Struct({ status: Literal("ok"), timestamp: Iso, service })
export const Unhealthy = Struct({
  status: Literal("error"),
  timestamp: Iso,
  service,
  error: Literal("Database connectivity failed")
})
const checks = List(
  Struct({ name: Schema.NonEmptyString, ok: Boolean, code: Schema.NonEmptyString, detail: String, since: Iso })
)
export const Ready = Struct({ status: Literal("ready"), checks })
export const Unready = Struct({ status: Literal("unready"), error: String, checks })
export const ServerVersion = Struct({ version: Schema.NonEmptyString, service })
export const NewerVersion = Struct({ updateUrl: Null })

// Acks, by the outcome of the event.

export const Pong = Struct({})
const version = { version: Version }
export const MachineMetadataAck = {
  success: Struct({ result: Literal("success"), ...version, metadata: String }),
  "version-mismatch": Struct({ result: Literal("version-mismatch"), ...version, metadata: String }),
  error: Struct({ result: Literal("error"), message: String })
}
export const MachineStateAck = {
  success: Struct({ result: Literal("success"), ...version, daemonState: String }),
  "version-mismatch": Struct({ result: Literal("version-mismatch"), ...version, daemonState: NullOr(String) }),
  error: Struct({ result: Literal("error"), message: String })
}
export const MetadataAck = {
  success: Struct({ result: Literal("success"), ...version, metadata: String }),
  "version-mismatch": Struct({ result: Literal("version-mismatch"), ...version, metadata: String }),
  forbidden: Struct({ result: Literal("forbidden") }),
  error: Struct({ result: Literal("error") })
}
export const StateAck = {
  success: Struct({ result: Literal("success"), ...version, agentState: NullOr(String) }),
  "version-mismatch": Struct({ result: Literal("version-mismatch"), ...version, agentState: NullOr(String) }),
  forbidden: Struct({ result: Literal("forbidden") }),
  error: Struct({ result: Literal("error") })
}
const unsent = <const E extends string>(error: E) => Struct({ ok: Literal(false), error: Literal(error) })
export const MessageAck = {
  ok: Struct({ ok: Literal(true), id: Cuid, seq: Cursor, localId: NullOr(String) }),
  "invalid-params": unsent("invalid-params"),
  "session-not-found": unsent("session-not-found"),
  internal: unsent("internal")
}
const unreported = <const E extends string>(error: E) => Struct({ success: Literal(false), error: Literal(error) })
export const UsageAck = {
  success: Receipt,
  "Invalid key": unreported("Invalid key"),
  "Invalid tokens": unreported("Invalid tokens object - must include total"),
  "Invalid cost": unreported("Invalid cost object - must include total"),
  "Invalid sessionId": unreported("Invalid sessionId"),
  "Session not found": unreported("Session not found"),
  "Failed to save": unreported("Failed to save usage report")
}
const uncalled = <const E extends string, const C extends string>(error: E, errorCode: C) =>
  Struct({ ok: Literal(false), error: Literal(error), errorCode: Literal(errorCode) })
export const RpcAck = {
  ok: Struct({ ok: Literal(true), result: Schema.Unknown }),
  invalid: uncalled("Invalid parameters: method is required", "RPC_INVALID_PARAMETERS"),
  unavailable: uncalled("RPC method not available", "RPC_METHOD_NOT_AVAILABLE"),
  "same-socket": Struct({ ok: Literal(false), error: Literal("Cannot call RPC on the same socket") }),
  timeout: uncalled("operation has timed out", "RPC_TIMEOUT"),
  "registrant-gone": uncalled("RPC connection lost", "RPC_CONNECTION_LOST")
}

// What the server sends by itself.

const of = <const T extends string, F extends Schema.Struct.Fields>(t: T, fields: F) =>
  Struct({ t: Literal(t), ...fields })
const ids = { id: Cuid, sid: Cuid }

/** The bodies of updates, by `t`. */
export const updates = {
  "new-session": of("new-session", { sid: Cuid, ...session }),
  "update-session": of("update-session", {
    ...ids,
    metadata: Schema.optional(Struct({ value: String, version: Version })),
    agentState: Schema.optional(Valued),
    archivedAt: Schema.optional(NullOr(Millis))
  }),
  "delete-session": of("delete-session", ids),
  "new-message": of("new-message", { ...ids, message: Message }),
  "new-machine": of("new-machine", { machineId: MachineId, seq: NonNegativeInt, ...machine }),
  "update-machine": of("update-machine", {
    machineId: MachineId,
    metadata: Schema.optional(Struct({ value: String, version: Version })),
    daemonState: Schema.optional(Struct({ value: String, version: Version })),
    active: Schema.optional(Literal(false)),
    revokedAt: Schema.optional(Millis),
    activeAt: Schema.optional(Millis)
  }),
  "update-account": of("update-account", { id: Cuid, settings: Valued }),
  "new-artifact": of("new-artifact", {
    artifactId: MachineId,
    seq: NonNegativeInt,
    header: Base64,
    headerVersion: Cursor,
    body: Base64,
    bodyVersion: Cursor,
    dataEncryptionKey: Base64,
    createdAt: Millis,
    updatedAt: Millis
  }),
  "update-artifact": of("update-artifact", {
    artifactId: MachineId,
    header: Schema.optional(Struct({ value: Base64, version: Cursor })),
    body: Schema.optional(Struct({ value: Base64, version: Cursor }))
  }),
  "delete-artifact": of("delete-artifact", { artifactId: MachineId }),
  "kv-batch-update": of("kv-batch-update", {
    changes: List(Struct({ key: Schema.NonEmptyString, value: NullOr(Base64), version: Version }))
  })
}

/** An update with such a body. `seq` is the cursor of the account. */
export const updateOf = <A, I>(body: Schema.Schema<A, I>) =>
  Struct({ id: UpdateId, seq: Cursor, body, createdAt: Millis })

/** Ephemerals, by `type`. */
export const ephemerals = {
  activity: Struct({ type: Literal("activity"), id: Cuid, active: Boolean, activeAt: Millis, thinking: Boolean }),
  "machine-activity": Struct({
    type: Literal("machine-activity"),
    id: MachineId,
    active: Boolean,
    activeAt: Millis
  }),
  usage: Struct({ type: Literal("usage"), id: Cuid, key: String, tokens: Amounts, cost: Amounts, timestamp: Millis })
}

/** Everything else, by the name of the event. */
export const others = {
  "rpc-registered": Struct({ method: String }),
  "rpc-unregistered": Struct({ method: String }),
  "rpc-error": Struct({ type: Literal("register", "unregister"), error: String }),
  "rpc-request": Struct({ method: String, params: Schema.optional(Schema.Unknown) }),
  error: Struct({
    message: Literal(
      "Missing authentication token",
      "Session ID required for session-scoped clients",
      "Machine ID required for machine-scoped clients",
      "Invalid authentication token",
      "machine_revoked"
    )
  })
}
