/** `migrate`: brings the schema of the database up to date, while no server uses it. */
import { Effect, Logger, LogLevel, Option } from "effect"
import * as SchemaUpdate from "../adoption/SchemaUpdate.ts"
import * as MigrationFolder from "../migration/MigrationFolder.ts"
import * as DataDirectory from "../opening/DataDirectory.ts"
import * as InstanceLock from "../opening/InstanceLock.ts"
import * as SqliteVersion from "../opening/SqliteVersion.ts"
import type { ServerConfig } from "../config/ServerConfig.ts"
import type { PostgresAddress } from "../PostgresAddress.ts"
import * as Configuration from "./Configuration.ts"
import * as Program from "./Program.ts"

export interface Options {
  readonly isDryRun: boolean
  readonly isJson: boolean
}

interface Outcome {
  readonly databaseFile: string
  readonly isDryRun: boolean
  readonly applied: ReadonlyArray<string>
  readonly backup: string | null
}

export const render = ({ applied, backup, databaseFile, isDryRun }: Outcome): string => {
  if (applied.length === 0) return `${databaseFile} is up to date\n`
  const head = isDryRun ? `${databaseFile} needs` : `${databaseFile} got`
  const lines = [head, ...applied.map((name) => `  ${name}`)]
  return `${[...lines, ...(backup === null ? [] : [`the file from before is ${backup}`])].join("\n")}\n`
}

const update = (options: { readonly filename: string; readonly migrationsDir: string }, isDryRun: boolean) =>
  isDryRun
    ? Effect.map(SchemaUpdate.pending(options), (applied) => ({ applied, backup: Option.none<string>() }))
    : Effect.scoped(
        Effect.zipRight(InstanceLock.hold(options.filename), SchemaUpdate.run({ ...options, isAllowed: true }))
      )

const report = (outcome: Outcome, isJson: boolean) =>
  Program.print(isJson ? `${JSON.stringify(outcome, undefined, 2)}\n` : render(outcome))

const updateServer = (config: ServerConfig, address: PostgresAddress, isDryRun: boolean, isJson: boolean) =>
  Effect.gen(function* () {
    const PostgresMigrator = yield* Effect.promise(() => import("../postgres/PostgresMigrator.ts"))
    const applied = yield* isDryRun
      ? PostgresMigrator.pending(address, config.migrationsDirectory)
      : PostgresMigrator.migrate(address, { isAllowed: true, migrationsDir: config.migrationsDirectory })
    yield* report({ databaseFile: address.place, isDryRun, applied, backup: null }, isJson)
  })

const program = ({ isDryRun, isJson }: Options) =>
  Effect.gen(function* () {
    const { config } = yield* Configuration.load
    if (config.postgres !== undefined) return yield* updateServer(config, config.postgres.address, isDryRun, isJson)
    yield* SqliteVersion.demandSound(SqliteVersion.linked())
    if (!isDryRun) yield* DataDirectory.make({ path: config.dataDirectory, masterSecret: config.masterSecret })
    const filename = config.databaseFile
    const migrationsDir = config.migrationsDirectory ?? MigrationFolder.bundledDir
    const { applied, backup } = yield* update({ filename, migrationsDir }, isDryRun)
    yield* report({ databaseFile: filename, isDryRun, applied, backup: Option.getOrNull(backup) }, isJson)
  }).pipe(Logger.withMinimumLogLevel(LogLevel.Warning))

/** Migrates and ends the process. A signal ends it after the migration at hand. */
export const run = (options: Options): void =>
  Program.runCommand(program(options), {
    withinMillis: 60_000,
    interrupted: "interrupted; migrations that were applied stay"
  })
