/** `compact`: gives the free space of the database back to the file system, while no server uses it. */
import { Effect, Logger, LogLevel } from "effect"
import * as ExitCode from "../ExitCode.ts"
import * as ServerConfig from "../config/ServerConfig.ts"
import * as DatabaseCompaction from "../opening/DatabaseCompaction.ts"
import * as SqliteVersion from "../opening/SqliteVersion.ts"
import * as Program from "./Program.ts"

export interface Options {
  readonly isJson: boolean
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`

/** What the command prints. */
export const render = (report: DatabaseCompaction.Report, isJson: boolean): string => {
  if (isJson) return `${JSON.stringify(report, undefined, 2)}\n`
  const { bytesAfter, bytesBefore, databaseFile, isRewritten } = report
  const sizes = `${databaseFile}: ${megabytes(bytesBefore)} before, ${megabytes(bytesAfter)} now\n`
  return isRewritten
    ? `${sizes}The file was written anew. From now on a running server gives free space back by itself.\n`
    : sizes
}

const program = ({ isJson }: Options) =>
  Effect.gen(function* () {
    const { config } = yield* ServerConfig.load(process.env)
    yield* SqliteVersion.demandSound(SqliteVersion.linked())
    const report = yield* DatabaseCompaction.compactFile({ filename: config.databaseFile }).pipe(
      Effect.tapErrorTag("InstanceRunning", () =>
        Effect.sync(() =>
          Program.complain(
            "a running server gives free space back by itself, if its file can do so; see the operations"
          )
        )
      )
    )
    yield* Program.print(render(report, isJson))
  }).pipe(Logger.withMinimumLogLevel(LogLevel.Warning))

/** Compacts and ends the process. A signal ends it after the current step. */
export const run = (options: Options): void =>
  Program.run(program(options), {
    shutdownTimeoutMillis: () => 60_000,
    success: () => ExitCode.ok,
    interrupted: () => {
      Program.complain("interrupted; nothing is lost, and what was given back until now stays so")
      return ExitCode.failure
    }
  })
