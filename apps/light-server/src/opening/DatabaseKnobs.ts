/** The settings of the database file. */
import { Either } from "effect"
import * as Knob from "../ConfigKnob.ts"
import * as PostgresAddress from "../PostgresAddress.ts"

/** A file, as its path, or a database of a PostgreSQL server. */
export type DatabasePlace =
  | { readonly _tag: "File"; readonly path: string }
  | { readonly _tag: "Postgres"; readonly address: PostgresAddress.PostgresAddress }

const parseDatabaseUrl = (text: string): Either.Either<DatabasePlace | undefined, string> => {
  if (PostgresAddress.isAddress(text)) {
    return Either.map(PostgresAddress.parse(text), (address) => ({ _tag: "Postgres", address }) as const)
  }
  if (!text.startsWith("file:")) return Either.left("Only SQLite files and PostgreSQL are supported")
  const withoutQuery = text.slice("file:".length).replace(/\?.*$/s, "")
  const isUrl = withoutQuery.startsWith("//")
  if (isUrl && !withoutQuery.startsWith("///")) return Either.left("The file must be on this machine")
  const file = isUrl ? decodeURIComponent(withoutQuery.slice(2)) : withoutQuery
  if (file === "" || file.includes(":memory:")) return Either.left("It must name a file")
  return Either.right({ _tag: "File", path: file })
}

/** In WAL mode EXTRA does the same as FULL. */
const parseSynchronous = (text: string): Either.Either<"NORMAL" | "FULL" | undefined, string> => {
  const word = text.toUpperCase()
  if (word === "OFF") return Either.left("OFF can leave a damaged file behind")
  if (word === "NORMAL") return Either.right("NORMAL")
  return word === "FULL" || word === "EXTRA" ? Either.right("FULL") : Either.left("")
}

/** The names of the engines that are supported, as other servers write them. */
const providers: { readonly [word: string]: "sqlite" | "postgres" } = {
  SQLITE: "sqlite",
  POSTGRES: "postgres",
  POSTGRESQL: "postgres"
}

const refusals: { readonly [word: string]: string } = {
  PGLITE: "A PGlite directory is not an SQLite file and cannot be opened here",
  MYSQL: "Only SQLite files and PostgreSQL are supported"
}

const parseProvider = (text: string): Either.Either<"sqlite" | "postgres" | undefined, string> => {
  const word = text.toUpperCase()
  const provider = providers[word]
  return provider === undefined ? Either.left(refusals[word] ?? "") : Either.right(provider)
}

/** Where the file is, and how its schema is updated. */
export const fileKnobs = {
  provider: Knob.make<"sqlite" | "postgres" | undefined>(
    "HAPPIER_DB_PROVIDER",
    {
      aliases: ["HAPPY_DB_PROVIDER"],
      fallback: undefined,
      allowed: "sqlite, postgres",
      meaning:
        "The database engine, for a check: `DATABASE_URL` decides, and the server stops when it names another one."
    },
    parseProvider
  ),
  databasePlace: Knob.make<DatabasePlace | undefined>(
    "DATABASE_URL",
    {
      fallback: undefined,
      allowed: "file:<path>, postgres://<user>:<password>@<host>:<port>/<database>",
      isSecret: true,
      meaning:
        "The database: a file, or a database of a PostgreSQL server. A relative path starts in the data directory; " +
        "the query of a file is ignored. Unset: `happier-server-light.sqlite` in the data directory."
    },
    parseDatabaseUrl
  ),
  migrationsDirectory: Knob.make<string | undefined>(
    "HAPPIER_SQLITE_MIGRATIONS_DIR",
    {
      fallback: undefined,
      allowed: "a directory",
      meaning: "The directory of the migrations. Unset: the migrations of this repository."
    },
    Either.right<string | undefined>
  ),
  autoMigrate: Knob.flag("HAPPIER_SQLITE_AUTO_MIGRATE", {
    fallback: true,
    meaning: "Apply missing migrations at the start. Off: the server starts only when no migration is missing."
  })
}

/** How many connections a PostgreSQL server is asked for. */
export const postgresKnobs = {
  writeConnections: Knob.integer("HAPPIER_POSTGRES_WRITE_CONNECTIONS", {
    fallback: 4,
    min: 2,
    max: 64,
    unit: "connections",
    meaning: "Connections that write. One is kept for registration, login and what else is urgent."
  }),
  readConnections: Knob.integer("HAPPIER_POSTGRES_READ_CONNECTIONS", {
    fallback: 6,
    min: 3,
    max: 64,
    unit: "connections",
    meaning: "Connections that read: half of them single rows, a third lists, the rest reports."
  })
}

/** How the file is written. */
export const writeKnobs = {
  journalMode: Knob.choice("HAPPIER_SQLITE_JOURNAL_MODE", ["WAL"], {
    fallback: "WAL",
    meaning: "The journal mode of the database. Only WAL is supported.",
    refusals: { DELETE: "With a rollback journal every reader would stop the writer" }
  }),
  synchronous: Knob.make<"NORMAL" | "FULL" | undefined>(
    "HAPPIER_SQLITE_SYNCHRONOUS",
    {
      fallback: undefined,
      allowed: "NORMAL, FULL, EXTRA",
      meaning:
        "What a commit survives. Unset: power loss in the lanes control and data, a crash of the process in the " +
        "others. NORMAL: a crash everywhere. FULL and EXTRA (the same in WAL mode): power loss everywhere."
    },
    parseSynchronous
  ),
  busyTimeoutMillis: Knob.optionalInteger("HAPPIER_SQLITE_BUSY_TIMEOUT_MS", {
    min: 0,
    max: 600_000,
    unit: "ms",
    meaning:
      "How long a write of the lanes control and data is tried again while another process holds the lock, within " +
      "the deadline of its lane. Unset: 950 and 2400."
  }),
  checkpointIntervalMillis: Knob.integer("HAPPIER_SQLITE_WAL_CHECKPOINT_INTERVAL_MS", {
    fallback: 60_000,
    min: 0,
    max: 86_400_000,
    unit: "ms",
    meaning: "Time between two checkpoints; 0: no checkpoints, for a tool that makes its own."
  }),
  journalSizeLimitBytes: Knob.integer("HAPPIER_SQLITE_JOURNAL_SIZE_LIMIT_BYTES", {
    fallback: 67_108_864,
    min: -1,
    max: 1_099_511_627_776,
    unit: "bytes",
    meaning: "Size of the log above which a checkpoint also empties it; -1: no limit."
  })
}

/** What protects the file. */
export const protectionKnobs = {
  freeReserveBytes: Knob.integer("HAPPIER_DISK_RESERVE_BYTES", {
    fallback: 67_108_864,
    min: 0,
    max: 1_099_511_627_776,
    unit: "bytes",
    meaning:
      "Free space that writes leave on the disk; free pages of the file count for up to half of it. With less, all " +
      "writes but deletes and ends are refused; they go on when there is a quarter more."
  }),
  startCheckMillis: Knob.integer("HAPPIER_SQLITE_START_CHECK_MS", {
    fallback: 2000,
    min: 0,
    max: 3_600_000,
    unit: "ms",
    meaning:
      "How long tables are checked for damage at the start. The check of a table is not cut short. " +
      "0: the server only checks that the file is a database."
  })
}

export interface Protection extends Knob.Values<typeof protectionKnobs> {
  /** Deaths in a row of the thread that writes, after which the server ends. */
  readonly restartLimit: number
}

export const protectionOf = (values: Knob.Values<typeof protectionKnobs>): Protection => ({
  ...values,
  restartLimit: 5
})
