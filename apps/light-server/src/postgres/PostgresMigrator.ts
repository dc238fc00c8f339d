/**
 * Brings a PostgreSQL database to the newest migration, before the server uses it.
 *
 * The migrations and their record are in Prisma's format; no part of Prisma runs here. Of several servers that start
 * at once, one migrates and the others wait.
 */
import * as Crypto from "node:crypto"
import * as FileSystem from "node:fs"
import { fileURLToPath } from "node:url"
import { Duration, Effect } from "effect"
import { MigrationBusy, MigrationFailed, type MigrationFolderInvalid } from "../migration/MigrationError.ts"
import * as MigrationFolder from "../migration/MigrationFolder.ts"
import { MigrationsMissing } from "../migration/MigrationGate.ts"
import * as MigrationHistory from "../migration/MigrationHistory.ts"
import type { MigrationRefusal } from "../migration/MigrationRefusal.ts"
import type { PostgresAddress } from "../PostgresAddress.ts"
import { type PostgresFailure, PostgresUnusable } from "./PostgresFailure.ts"
import * as PostgresSession from "./PostgresSession.ts"

/** Why a database was not brought to the newest migration. */
export type PostgresMigrationError =
  | PostgresFailure
  | MigrationBusy
  | MigrationFailed
  | MigrationFolderInvalid
  | MigrationRefusal
  | MigrationsMissing

/** In a package the migrations are beside the program, in a clone at its root. */
const places = ["../../prisma/postgresql/migrations", "../../../../prisma/postgresql/migrations"].map((place) =>
  fileURLToPath(new URL(place, import.meta.url))
)

/** Where the migrations for PostgreSQL are. */
export const bundledDir: string = places.find((place) => FileSystem.existsSync(place)) ?? places.join(" or ")

export interface Options {
  /** Off: fails with `MigrationsMissing` instead of migrating. */
  readonly isAllowed: boolean
  /** `bundledDir` unless given. */
  readonly migrationsDir?: string | undefined
  /** Longest wait for another server that migrates. A minute unless given. */
  readonly lockTimeout?: Duration.DurationInput
}

/** The oldest major version that the server is tested with. */
const oldestVersion = 15

/** Any number, the same for all servers: it names the lock of a migration, together with the schema. */
const lockSpace = 7_041_100

interface Facts {
  readonly version: number
  readonly versionText: string
  readonly encoding: string
  readonly schema: string | null
  readonly isStandby: boolean
}

const selectFacts = `SELECT current_setting('server_version_num')::int AS "version",
  current_setting('server_version') AS "versionText", current_setting('server_encoding') AS "encoding",
  current_schema() AS "schema", pg_is_in_recovery() AS "isStandby"`

/** Why a server with these facts cannot be used. */
export const problemOf = ({ encoding, isStandby, schema, version, versionText }: Facts) => {
  if (Math.floor(version / 10_000) < oldestVersion) {
    return { code: "VERSION", reason: `it runs PostgreSQL ${versionText}; ${oldestVersion} is the oldest that works` }
  }
  if (encoding !== "UTF8") {
    return { code: "ENCODING", reason: `its encoding is ${encoding}; create the database with ENCODING 'UTF8'` }
  }
  if (isStandby) {
    return { code: "STANDBY", reason: "it is a standby, which takes no writes; name the primary" }
  }
  return schema === null ? { code: "SCHEMA", reason: "no schema of its search_path exists" } : undefined
}

/** Whether a server can work with the database at all. Writes nothing. */
const demandUsable = ({ place, query }: PostgresSession.PostgresSession) =>
  Effect.gen(function* () {
    const [facts] = yield* query<Facts & { readonly [column: string]: unknown }>(selectFacts)
    const problem = facts === undefined ? { code: "EMPTY", reason: "it does not answer" } : problemOf(facts)
    if (problem !== undefined) return yield* new PostgresUnusable({ place, ...problem })
  })

const record = `"_prisma_migrations"`

const createRecord = `CREATE TABLE IF NOT EXISTS ${record} (
  "id" VARCHAR(36) PRIMARY KEY NOT NULL,
  "checksum" VARCHAR(64) NOT NULL,
  "finished_at" TIMESTAMPTZ,
  "migration_name" VARCHAR(255) NOT NULL,
  "logs" TEXT,
  "rolled_back_at" TIMESTAMPTZ,
  "started_at" TIMESTAMPTZ NOT NULL DEFAULT now(),
  "applied_steps_count" INTEGER NOT NULL DEFAULT 0
)`

const selectTables = `SELECT relname AS "name" FROM pg_class
  WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY relname`

const selectRecorded = `SELECT "migration_name" AS "name", "checksum", "finished_at" IS NOT NULL AS "isFinished",
    coalesce("logs", '') AS "logs"
  FROM ${record} WHERE "rolled_back_at" IS NULL ORDER BY "migration_name", "started_at"`

const insertFinished = `INSERT INTO ${record}
    ("id", "checksum", "migration_name", "started_at", "finished_at", "applied_steps_count")
  VALUES ($1, $2, $3, now(), clock_timestamp(), 1)`

const readHistory = ({ place, query }: PostgresSession.PostgresSession) =>
  Effect.gen(function* () {
    const tables = (yield* query<{ readonly name: string }>(selectTables)).map(({ name }) => name)
    const recorded = tables.includes("_prisma_migrations")
      ? yield* query<MigrationHistory.History["recorded"][number]>(selectRecorded)
      : []
    return { filename: place, tables: tables.filter((name) => name !== "_prisma_migrations"), recorded }
  })

const pendingOf = (session: PostgresSession.PostgresSession, migrations: MigrationFolder.Migrations) =>
  Effect.flatMap(readHistory(session), (history) => MigrationHistory.pending(history, migrations))

/** Waits for the servers that migrate the same schema. The lock ends with the connection. */
const lock = ({ place, query }: PostgresSession.PostgresSession, timeout: Duration.DurationInput) =>
  Effect.gen(function* () {
    const waitLimitMillis = Duration.toMillis(timeout)
    yield* query(`SET lock_timeout = ${Math.max(1, Math.floor(waitLimitMillis))}`)
    yield* query(`SELECT pg_advisory_lock(${lockSpace}, hashtext(current_schema()))`).pipe(
      Effect.catchIf(
        ({ code }) => code === "55P03",
        () => Effect.fail(new MigrationBusy({ filename: place, waitLimitMillis }))
      )
    )
  })

/** The migration and its record in one transaction. */
const apply = (session: PostgresSession.PostgresSession, migration: MigrationFolder.Migration) => {
  const { checksum, name, sql } = migration
  const failed = (failure: PostgresFailure) =>
    failure._tag === "PostgresUnreachable" || failure.code === "42501"
      ? failure
      : new MigrationFailed({
          filename: session.place,
          migration: name,
          code: failure.code,
          reason: failure.reason
        })
  return PostgresSession.transaction(
    session,
    Effect.all([
      session.query(createRecord),
      session.query(sql),
      session.query(insertFinished, [Crypto.randomUUID(), checksum, name])
    ])
  ).pipe(
    Effect.mapError(failed),
    Effect.zipRight(
      Effect.logInfo("migration applied").pipe(Effect.annotateLogs({ migration: name, database: session.place }))
    )
  )
}

/** The names of the migrations that are missing. Writes nothing. */
export const pending = (
  address: PostgresAddress,
  migrationsDir: string = bundledDir
): Effect.Effect<ReadonlyArray<string>, PostgresMigrationError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const migrations = yield* MigrationFolder.read(migrationsDir)
      const session = yield* PostgresSession.open(address)
      yield* demandUsable(session)
      return (yield* pendingOf(session, migrations)).map(({ name }) => name)
    })
  )

/**
 * Applies what is missing, and returns its names. Fails, and writes nothing, when the database cannot be used, belongs
 * to something else, or has migrations that this build does not have.
 */
export const migrate = (
  address: PostgresAddress,
  { isAllowed, lockTimeout = "1 minute", migrationsDir = bundledDir }: Options
): Effect.Effect<ReadonlyArray<string>, PostgresMigrationError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const migrations = yield* MigrationFolder.read(migrationsDir)
      const session = yield* PostgresSession.open(address)
      yield* demandUsable(session)
      const missing = yield* pendingOf(session, migrations)
      if (missing.length === 0) return []
      if (!isAllowed) {
        return yield* new MigrationsMissing({ filename: address.place, names: missing.map(({ name }) => name) })
      }
      yield* lock(session, lockTimeout)
      // Another server may have applied them meanwhile.
      const left = yield* pendingOf(session, migrations)
      for (const migration of left) yield* apply(session, migration)
      return left.map(({ name }) => name)
    })
  )
