/** `import`: the database of a happier light server, copied into a new one. */
import { Effect, Logger, LogLevel } from "effect"
import path from "node:path"
import * as DatabaseImport from "../adoption/DatabaseImport.ts"
import * as MigrationFolder from "../migration/MigrationFolder.ts"
import * as ServerConfig from "../config/ServerConfig.ts"
import * as ImportReport from "./ImportReport.ts"
import * as Configuration from "./Configuration.ts"
import { demandFile } from "../operator/FileDemand.ts"
import * as Program from "./Program.ts"

export interface Options {
  readonly from: string
  /** The data directory of the configuration, unless given. */
  readonly into: string | undefined
  readonly isJson: boolean
}

const program = ({ from, into, isJson }: Options) =>
  Effect.gen(function* () {
    const { config } = yield* Configuration.load
    if (into === undefined) yield* demandFile("import", config)
    const report = yield* DatabaseImport.importFile({
      source: path.resolve(from),
      directory: into === undefined ? config.dataDirectory : path.resolve(into),
      databaseName: ServerConfig.defaultDatabaseName,
      migrationsDir: config.migrationsDirectory ?? MigrationFolder.bundledDir
    })
    yield* Program.print(isJson ? ImportReport.toJson(report) : ImportReport.toText(report))
  }).pipe(Logger.withMinimumLogLevel(LogLevel.Warning))

/** Imports and ends the process. A signal also ends it, and nothing is left behind. */
export const run = (options: Options): void =>
  Program.runCommand(program(options), { withinMillis: 60_000, interrupted: "interrupted, nothing was imported" })
