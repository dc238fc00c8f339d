/**
 * What commands of the operator and the running server say to each other over the admin socket.
 *
 * Only schemas, so that a command loads nothing of the server.
 */
import { Schema } from "effect"
import { logLevels } from "../LogLevels.ts"
import { BackupRecord } from "../operator/BackupRecord.ts"

/** Name of the socket in the data directory. */
export const socketName = "admin.sock"

const Check = Schema.Struct({
  name: Schema.String,
  ok: Schema.Boolean,
  /** Names the problem, or is `OK`. */
  code: Schema.String,
  detail: Schema.String,
  /** ISO time of the last change. */
  since: Schema.String
})

const Lane = Schema.Struct({ lane: Schema.String, waiting: Schema.Int, capacity: Schema.Int })

/** All times are epoch milliseconds, all sizes bytes; `null`: not known, or never. */
export const Status = Schema.Struct({
  version: Schema.String,
  pid: Schema.Int,
  startedAt: Schema.Number,
  url: Schema.String,
  publicUrl: Schema.NullOr(Schema.String),
  dataDirectory: Schema.String,
  databaseFile: Schema.String,
  logLevel: Schema.NullOr(Schema.Literal(...logLevels)),
  isReady: Schema.Boolean,
  checks: Schema.Array(Check),
  writer: Schema.Struct({
    state: Schema.String,
    holder: Schema.NullOr(Schema.Struct({ lane: Schema.String, sinceMillis: Schema.Number })),
    lanes: Schema.Array(Lane),
    lastCommitAt: Schema.NullOr(Schema.Number),
    lastFailure: Schema.NullOr(Schema.Struct({ tag: Schema.String, atMillis: Schema.Number }))
  }),
  presence: Schema.Struct({
    tracked: Schema.Int,
    pending: Schema.Int,
    parked: Schema.Int,
    oldestPendingAt: Schema.NullOr(Schema.Number),
    lastFlushAt: Schema.NullOr(Schema.Number),
    failedFlushes: Schema.Int
  }),
  sockets: Schema.Struct({ apps: Schema.Int, machines: Schema.Int, sessions: Schema.Int }),
  storage: Schema.Struct({
    databaseBytes: Schema.NullOr(Schema.Number),
    logBytes: Schema.NullOr(Schema.Number),
    /** Of the database file: pages that hold nothing. */
    reusableBytes: Schema.NullOr(Schema.Number),
    diskFreeBytes: Schema.NullOr(Schema.Number)
  }),
  backup: Schema.Struct({
    ...BackupRecord.fields,
    /** The file of the last backup is not there any more. */
    isGone: Schema.Boolean
  })
})

export interface Status extends Schema.Schema.Type<typeof Status> {}

export const Account = Schema.Struct({
  id: Schema.String,
  createdAt: Schema.Number,
  machineCount: Schema.Int,
  sessionCount: Schema.Int,
  /** Of its sessions and machines; `null`: it has none. */
  lastActiveAt: Schema.NullOr(Schema.Number),
  /** Since when its tokens are refused; `null`: they are not. */
  disabledAt: Schema.NullOr(Schema.Number)
})

export interface Account extends Schema.Schema.Type<typeof Account> {}

/** `isCut`: there are more. */
export const AccountList = Schema.Struct({ accounts: Schema.Array(Account), isCut: Schema.Boolean })

const Device = Schema.Struct({
  /** The digest of its token. */
  id: Schema.String,
  /** The `User-Agent` it showed last. */
  client: Schema.NullOr(Schema.String),
  firstSeenAt: Schema.Number,
  lastSeenAt: Schema.Number,
  /** Open sockets: `app`, `machine <id>`, `session <id>`. */
  connections: Schema.Array(Schema.String)
})

export const DeviceList = Schema.Struct({ devices: Schema.Array(Device) })

export interface DeviceList extends Schema.Schema.Type<typeof DeviceList> {}

export const AccountDetail = Schema.Struct({
  ...Account.fields,
  /** The key of its clients, in hex. */
  publicKey: Schema.NullOr(Schema.String),
  messageCount: Schema.Int,
  devices: DeviceList.fields.devices
})

export interface AccountDetail extends Schema.Schema.Type<typeof AccountDetail> {}

export const AccountRemoved = Schema.Struct({ id: Schema.String, sessionCount: Schema.Int, machineCount: Schema.Int })

export interface AccountRemoved extends Schema.Schema.Type<typeof AccountRemoved> {}

/** `isChanged`: false when the account was in this state already. */
export const AccountTurned = Schema.Struct({
  id: Schema.String,
  disabledAt: Schema.NullOr(Schema.Number),
  isChanged: Schema.Boolean
})

export interface AccountTurned extends Schema.Schema.Type<typeof AccountTurned> {}

export const LogLevel = Schema.Struct({ level: Schema.Literal(...logLevels) })

export const Compaction = Schema.Struct({
  /** Free pages that left the file, in bytes. */
  removedBytes: Schema.Number,
  databaseBytes: Schema.Number,
  /** `false`: the file was made without incremental vacuum, and `compact` has to write it anew while no server runs. */
  isShrinkable: Schema.Boolean
})

export interface Compaction extends Schema.Schema.Type<typeof Compaction> {}

/** The body of every refusal. */
export const Refusal = Schema.Struct({ error: Schema.String, code: Schema.optional(Schema.String) })
