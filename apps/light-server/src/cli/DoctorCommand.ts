/** `doctor`: what is wrong with the installation, why it matters, and what to do. */
import { Effect, Logger, LogLevel } from "effect"
import * as AdminClient from "../admin/AdminClient.ts"
import * as AdminProtocol from "../admin/AdminProtocol.ts"
import type * as ServerConfig from "../config/ServerConfig.ts"
import * as ExitCode from "../ExitCode.ts"
import * as MigrationFolder from "../migration/MigrationFolder.ts"
import * as BackupChecks from "../operator/BackupChecks.ts"
import * as DatabaseChecks from "../operator/DatabaseChecks.ts"
import type { DoctorOptions } from "../operator/DoctorOptions.ts"
import * as FileChecks from "../operator/FileChecks.ts"
import * as Finding from "../operator/Finding.ts"
import * as NetworkChecks from "../operator/NetworkChecks.ts"
import * as Configuration from "./Configuration.ts"
import type { PostgresAddress } from "../PostgresAddress.ts"
import * as Program from "./Program.ts"
import { command } from "../Version.ts"

export interface Options {
  readonly isFixed: boolean
  readonly isJson: boolean
}

const configCheck = { code: "D001", name: "configuration" }

const optionsOf = (config: ServerConfig.ServerConfig, server: DoctorOptions["server"]): DoctorOptions => ({
  dataDirectory: config.dataDirectory,
  databaseFile: config.databaseFile,
  migrationsDir: config.migrationsDirectory ?? MigrationFolder.bundledDir,
  backupDirectory: config.backup.directory,
  backupIntervalMillis: config.backup.intervalMillis,
  hasOwnSecret: config.masterSecret !== undefined,
  reserveBytes: config.protection.freeReserveBytes,
  logLimitBytes: config.checkpointIntervalMillis === 0 ? -1 : config.journalSizeLimitBytes,
  host: config.host,
  publicUrl: config.publicUrl,
  corsOrigins: config.corsOrigins,
  trustedProxies: config.trustedProxies,
  server
})

const configFindings = (warnings: ReadonlyArray<string>): ReadonlyArray<Finding.Finding> =>
  warnings.length === 0
    ? [Finding.ok(configCheck, "every setting is understood")]
    : warnings.map((found) =>
        Finding.warning(configCheck, {
          found,
          cause: "the setting does not do what its name promises",
          fix: `correct or remove it; \`${command} config print\` shows what is understood`
        })
      )

/** Loaded only where there is one. */
const postgresFindings = (address: PostgresAddress) =>
  Effect.flatMap(
    Effect.promise(() => import("../operator/PostgresChecks.ts")),
    (PostgresChecks) => PostgresChecks.run(address)
  )

const examine = Effect.gen(function* () {
  const { config, warnings } = yield* Configuration.load
  const server = yield* AdminClient.ask(
    config.dataDirectory,
    { method: "GET", path: "/v1/status" },
    AdminProtocol.Status
  ).pipe(Effect.orElseSucceed(() => undefined))
  const options = optionsOf(config, server)
  const { postgres } = config
  const groups =
    postgres === undefined
      ? [FileChecks.run, DatabaseChecks.run, NetworkChecks.run, BackupChecks.run]
      : [FileChecks.run, () => postgresFindings(postgres.address), NetworkChecks.run]
  const findings = yield* Effect.forEach(groups, (run) => run(options))
  return [...configFindings(warnings), ...findings.flat()]
})

/** Every check has an answer, also when the configuration cannot be read. */
const findings = Effect.catchTag(examine, "ConfigInvalid", ({ problems }) =>
  Effect.succeed(
    problems.map((found) =>
      Finding.problem(configCheck, {
        found,
        cause: "the server does not start",
        fix: "correct the setting; docs/operations.md lists what is allowed"
      })
    )
  )
)

const repairAll = (found: ReadonlyArray<Finding.Finding>) =>
  Effect.forEach(
    found.filter(({ level }) => level !== "ok"),
    ({ code, fix, repair }) =>
      repair === undefined
        ? Effect.void
        : Effect.match(repair, {
            onFailure: (reason) => Program.complain(`${code} could not be repaired: ${reason}`),
            onSuccess: () => Program.complain(`${code} repaired: ${fix}`)
          }),
    { discard: true }
  )

const words = { ok: "ok  ", warning: "WARN", problem: "FAIL", skipped: "skip" }

export const render = (found: ReadonlyArray<Finding.Finding>): string => {
  const count = (level: Finding.Level) => found.filter((finding) => finding.level === level).length
  const [problems, warnings] = [count("problem"), count("warning")]
  const lines = found.flatMap(({ cause, check, code, fix, found, level }) => [
    `${words[level]} ${code} ${check}: ${found}`,
    ...(cause === "" ? [] : [`       why: ${cause}`]),
    ...(fix === "" ? [] : [`       fix: ${fix}`])
  ])
  const verdict =
    problems + warnings === 0 ? "all is well" : `problems: ${problems}, warnings: ${warnings} of ${found.length} checks`
  return `${[...lines, "", verdict].join("\n")}\n`
}

let problemCount = 0

const program = ({ isFixed, isJson }: Options) =>
  Effect.gen(function* () {
    const first = yield* findings
    if (isFixed) yield* repairAll(first)
    const found = isFixed ? yield* findings : first
    problemCount = found.filter(({ level }) => level === "problem").length
    const plain = found.map(({ repair, ...finding }) => ({ ...finding, canBeFixed: repair !== undefined }))
    yield* Program.print(isJson ? `${JSON.stringify(plain, undefined, 2)}\n` : render(found))
  }).pipe(Logger.withMinimumLogLevel(LogLevel.Error))

/** Ends the process, with code 1 when a problem is left. */
export const run = (options: Options): void =>
  Program.run(program(options), {
    shutdownTimeoutMillis: () => 5000,
    success: () => (problemCount === 0 ? ExitCode.ok : ExitCode.failure),
    interrupted: () => ExitCode.failure
  })
