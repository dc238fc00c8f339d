/**
 * Every variable of the environment that this server reads, with its default:
 * the one place. `docs/operations.md` shows the same table, and a test compares
 * both.
 */
import { Either, Redacted } from "effect"
import * as Knob from "../ConfigKnob.ts"
import * as PairingKnobs from "../accounts/PairingKnobs.ts"
import * as DatabaseKnobs from "../opening/DatabaseKnobs.ts"
import * as ChangeKnobs from "../changes/ChangeKnobs.ts"
import * as CorsOrigins from "../http/CorsOrigins.ts"
import * as HttpKnobs from "../http/HttpKnobs.ts"
import { logLevels } from "../LogLevels.ts"
import * as RealtimeKnobs from "../realtime/RealtimeKnobs.ts"
import * as RpcKnobs from "../rpc/RpcKnobs.ts"

const hour = 3_600_000

const optionalText = (text: string) => Either.right(text === "" ? undefined : text)

const parseUrl = (text: string) => {
  if (text === "") return Either.right(undefined)
  const url = URL.canParse(text) ? new URL(text) : undefined
  return url?.protocol === "http:" || url?.protocol === "https:" ? Either.right(url.origin) : Either.left("")
}

const parseDatabaseUrl = (text: string) => {
  if (text === "") return Either.right(undefined)
  if (!text.startsWith("file:")) return Either.left("This server opens one SQLite file and no other database")
  const withoutQuery = text.slice("file:".length).replace(/\?.*$/s, "")
  const isUrl = withoutQuery.startsWith("//")
  if (isUrl && !withoutQuery.startsWith("///")) return Either.left("A file: URL with a host is not on this machine")
  const file = isUrl ? decodeURIComponent(withoutQuery.slice(2)) : withoutQuery
  return file === "" || file.includes(":memory:") ? Either.left("It must name a file") : Either.right(file)
}

const parseSecret = (text: string) => {
  if (text === "") return Either.right(undefined)
  return text.length >= 16 ? Either.right(Redacted.make(text)) : Either.left("")
}

export const knobs = {
  provider: Knob.choice("HAPPIER_DB_PROVIDER", ["sqlite"], {
    alias: "HAPPY_DB_PROVIDER",
    fallback: "sqlite",
    meaning: "The database engine. Other engines are refused, so that nobody believes to use them.",
    refusals: {
      PGLITE: "A PGlite directory is no SQLite file and cannot be opened here",
      POSTGRES: "This server opens one SQLite file and no other database",
      POSTGRESQL: "This server opens one SQLite file and no other database",
      MYSQL: "This server opens one SQLite file and no other database"
    }
  }),
  databaseFile: Knob.make(
    "DATABASE_URL",
    {
      allowed: "file:<path>",
      isSecret: true,
      meaning:
        "The database file; a relative path starts in the data directory, a query is ignored. " +
        "Unset: `happier-server-light.sqlite` in the data directory."
    },
    parseDatabaseUrl
  ),
  dataDirectory: Knob.make(
    "HAPPIER_SERVER_LIGHT_DATA_DIR",
    {
      fallback: "~/.happier/server-light",
      allowed: "a directory",
      meaning: "Where the database and the secret live. Created with mode 0700."
    },
    Either.right<string>
  ),
  masterSecret: Knob.make(
    "HANDY_MASTER_SECRET",
    {
      allowed: "16 characters or more",
      isSecret: true,
      meaning:
        "The seed of the tokens. Unset: `handy-master-secret.txt` in the data directory, made at the first start."
    },
    parseSecret
  ),
  migrationsDirectory: Knob.make(
    "HAPPIER_SQLITE_MIGRATIONS_DIR",
    { allowed: "a directory", meaning: "Where the migrations are. Unset: the ones of this repository." },
    optionalText
  ),
  autoMigrate: Knob.flag("HAPPIER_SQLITE_AUTO_MIGRATE", {
    fallback: "1",
    meaning: "Apply missing migrations at the start. Off: start only when none is missing."
  }),
  host: Knob.make(
    "HOST",
    {
      fallback: "127.0.0.1",
      allowed: "an address",
      meaning: "The address to listen on. `0.0.0.0` opens the server to the network."
    },
    Either.right<string>
  ),
  port: Knob.integer("PORT", {
    fallback: "3005",
    min: 0,
    max: 65_535,
    meaning: "The port to listen on; 0: any free one."
  }),
  publicUrl: Knob.make(
    "PUBLIC_URL",
    {
      allowed: "an http or https URL",
      meaning: "The address clients use, shown at the start. Unset: where the server listens."
    },
    parseUrl
  ),
  metricsEnabled: Knob.flag("METRICS_ENABLED", { fallback: "1", meaning: "Serve `/metrics`, on the same port." }),
  journalMode: Knob.choice("HAPPIER_SQLITE_JOURNAL_MODE", ["WAL"], {
    fallback: "WAL",
    meaning: "The journal of the database.",
    refusals: {
      DELETE: "With a rollback journal every reader would stop the writer, which this server promises not to happen"
    }
  }),
  synchronous: Knob.make(
    "HAPPIER_SQLITE_SYNCHRONOUS",
    {
      allowed: "NORMAL, FULL, EXTRA",
      meaning:
        "What a commit survives. Unset: power loss in the lanes control and data, a crash of the process in the " +
        "others. NORMAL: a crash everywhere. FULL and EXTRA (the same in WAL mode): power loss everywhere."
    },
    (text): Either.Either<"NORMAL" | "FULL" | undefined, string> => {
      const word = text.toUpperCase()
      if (word === "") return Either.right(undefined)
      if (word === "OFF") return Either.left("OFF can leave a damaged file behind")
      return word === "NORMAL"
        ? Either.right("NORMAL")
        : word === "FULL" || word === "EXTRA"
          ? Either.right("FULL")
          : Either.left("")
    }
  ),
  busyTimeoutMillis: Knob.optionalInteger("HAPPIER_SQLITE_BUSY_TIMEOUT_MS", {
    min: 0,
    max: 600_000,
    meaning:
      "How long a write of the lanes control and data keeps trying while another process holds the lock, within the " +
      "deadline of its lane. Unset: 950 and 2400."
  }),
  checkpointIntervalMillis: Knob.integer("HAPPIER_SQLITE_WAL_CHECKPOINT_INTERVAL_MS", {
    fallback: "60000",
    min: 0,
    max: 24 * hour,
    meaning: "Time between two checkpoints; 0: none of ours, for a tool that makes its own."
  }),
  journalSizeLimitBytes: Knob.integer("HAPPIER_SQLITE_JOURNAL_SIZE_LIMIT_BYTES", {
    fallback: "67108864",
    min: -1,
    max: 1_099_511_627_776,
    meaning: "Size of the log above which a checkpoint also empties it; -1: no limit."
  }),
  flushIntervalMillis: Knob.integer("HAPPIER_PRESENCE_FLUSH_INTERVAL_MS", {
    fallback: "5000",
    min: 100,
    max: hour,
    meaning: "Time between two flushes: what a crash may lose of presence."
  }),
  persistThresholdMillis: Knob.integer("HAPPIER_PRESENCE_PERSIST_THRESHOLD_MS", {
    fallback: "30000",
    min: 0,
    max: hour,
    meaning: "A row that is active already is written again only when its time has moved by more than this."
  }),
  offlineTimeoutMillis: Knob.integer("HAPPIER_PRESENCE_OFFLINE_TIMEOUT_MS", {
    fallback: "600000",
    min: 1000,
    max: 24 * hour,
    meaning: "Silence after which a row is offline."
  }),
  sweepIntervalMillis: Knob.integer("HAPPIER_PRESENCE_SWEEP_INTERVAL_MS", {
    fallback: "60000",
    min: 1000,
    max: hour,
    meaning: "Time between two searches for silent rows."
  }),
  disconnectGraceMillis: Knob.integer("HAPPIER_PRESENCE_DISCONNECT_GRACE_MS", {
    fallback: "15000",
    min: 0,
    max: hour,
    meaning: "Time to come back after the last connection closed, before the row is offline."
  }),
  startGraceMillis: Knob.integer("HAPPIER_PRESENCE_START_GRACE_MS", {
    fallback: "60000",
    min: 0,
    max: hour,
    meaning: "Time to come back after a start or a long pause of the process, before anybody is offline."
  }),
  drainTimeoutMillis: Knob.integer("HAPPIER_PRESENCE_DRAIN_TIMEOUT_MS", {
    fallback: "3000",
    min: 100,
    max: 120_000,
    meaning: "Longest wait for the last flush at shutdown."
  }),
  logLevel: Knob.choice("HAPPIER_LOG_LEVEL", logLevels, {
    fallback: "info",
    meaning: "The lowest level that is logged. Answers with a status below 400 are `debug`."
  }),
  corsOrigins: Knob.make(
    "HAPPIER_CORS_ORIGINS",
    { allowed: "origins, separated by commas; or *", meaning: "Where browsers may call from. Unset: nowhere." },
    CorsOrigins.parse
  ),
  bodyLimitBytes: Knob.integer("HAPPIER_BODY_LIMIT_BYTES", {
    fallback: "1048576",
    min: 1024,
    max: 104_857_600,
    meaning: "Largest body of a request, and largest message over a socket."
  }),
  shutdownTimeoutMillis: Knob.integer("HAPPIER_SHUTDOWN_TIMEOUT_MS", {
    fallback: "10000",
    min: 3000,
    max: 120_000,
    meaning: "Longest time from a signal to the end of the process."
  }),
  ...DatabaseKnobs.knobs,
  ...HttpKnobs.knobs,
  ...PairingKnobs.knobs,
  ...RealtimeKnobs.knobs,
  ...RpcKnobs.knobs,
  ...ChangeKnobs.knobs
} as const

/**
 * Settings of other servers of the family that have no effect here: what they
 * tuned does not exist in this design. Named in a warning, never an error.
 */
export const withoutEffect: { readonly [name: string]: string } = {
  METRICS_PORT: "metrics are served on the main port, under /metrics",
  HAPPIER_SQLITE_CONNECTION_LIMIT: "one connection writes, and its lanes decide who is next",
  HAPPIER_SQLITE_WAL_CHECKPOINT_BUSY_TIMEOUT_MS: "checkpoints never wait",
  HAPPIER_SQLITE_INCREMENTAL_VACUUM_INTERVAL_MS: "the file is not vacuumed",
  HAPPIER_SQLITE_INCREMENTAL_VACUUM_PAGES: "the file is not vacuumed",
  HAPPIER_DB_CONNECTION_LIMIT: "one connection writes, and its lanes decide who is next",
  HAPPIER_DB_TX_MAX_RETRIES: "retries end with the deadline of their lane",
  HAPPIER_DB_TX_MAX_WAIT_MS: "waiting ends with the deadline of its lane",
  HAPPIER_DB_TX_TIMEOUT_MS: "writes end with the deadline of their lane",
  HAPPIER_DB_TX_RETRY_BASE_DELAY_MS: "the policy of a lane sets its delays",
  HAPPIER_DB_TX_RETRY_MAX_DELAY_MS: "the policy of a lane sets its delays",
  HAPPIER_DB_TX_TOTAL_RETRY_BUDGET_MS: "retries end with the deadline of their lane",
  HAPPIER_SERVER_LIGHT_FILES_DIR: "no files are stored",
  HAPPIER_SERVER_LIGHT_DB_DIR: "set DATABASE_URL or HAPPIER_SERVER_LIGHT_DATA_DIR"
}

/** Names of the same family that programs beside the server read. */
export const ofClients: ReadonlyArray<RegExp> = [
  /^HAPPIER_(SERVER_URL|HOME_DIR|DISABLE_CAFFEINATE|WEBAPP_URL|VARIANT)$/,
  /^HAPPIER_DAEMON_/,
  /^HAPPIER_STACK_/
]
