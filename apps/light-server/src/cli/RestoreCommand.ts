/** `restore`: a backup in the place of the database. */
import { Effect, Logger, LogLevel } from "effect"
import * as MigrationFolder from "../migration/MigrationFolder.ts"
import * as Restore from "../operator/Restore.ts"
import * as Configuration from "./Configuration.ts"
import { demandFile } from "../operator/FileDemand.ts"
import * as Program from "./Program.ts"
import * as Progress from "./Progress.ts"
import * as Quantity from "./Quantity.ts"

export interface Options {
  readonly from: string
  readonly isJson: boolean
}

const secretText = {
  restored: "the master secret of the backup was restored; clients stay logged in",
  kept: "the master secret of the data directory was kept",
  absent: "there is no master secret: the next start makes one, and clients have to log in again"
}

export const render = (report: Restore.Report): string =>
  [
    `${report.databaseFile} is ${report.from} now, with ${Quantity.count(report.rowCount, "row")}`,
    ...report.replaced.map((file) => `kept what was there as ${file}`),
    secretText[report.secret],
    ...(report.pendingMigrations.length === 0
      ? []
      : [`the next start applies ${Quantity.count(report.pendingMigrations.length, "migration")}`]),
    ""
  ].join("\n")

const program = ({ from, isJson }: Options) =>
  Effect.gen(function* () {
    const { config } = yield* Configuration.load
    yield* demandFile("restore", config)
    const progress = Progress.make("copying")
    const report = yield* Restore.run({
      from,
      databaseFile: config.databaseFile,
      dataDirectory: config.dataDirectory,
      migrationsDir: config.migrationsDirectory ?? MigrationFolder.bundledDir,
      withSecret: config.masterSecret === undefined,
      onProgress: progress.show
    }).pipe(Effect.ensuring(Effect.sync(progress.clear)))
    yield* Program.print(isJson ? `${JSON.stringify(report, undefined, 2)}\n` : render(report))
  }).pipe(Logger.withMinimumLogLevel(LogLevel.Warning))

/** Restores and ends the process. A signal before the last step leaves the database as it was. */
export const run = (options: Options): void =>
  Program.runCommand(program(options), { withinMillis: 60_000, interrupted: "interrupted, nothing was restored" })
