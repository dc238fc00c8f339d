/** `compact`: gives the free space of the database back to the file system. */
import { Effect, Logger, LogLevel } from "effect"
import * as AdminClient from "../admin/AdminClient.ts"
import * as AdminProtocol from "../admin/AdminProtocol.ts"
import * as DatabaseCompaction from "../opening/DatabaseCompaction.ts"
import type { InstanceRunning } from "../opening/InstanceLock.ts"
import * as SqliteVersion from "../opening/SqliteVersion.ts"
import * as Configuration from "./Configuration.ts"
import { demandFile } from "../operator/FileDemand.ts"
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

/** Longer than the server works on one request. */
const answerLimitMillis = 90_000

/** The running server shortens its own file. One that it cannot shorten has to wait until no server runs. */
const askServer = (dataDirectory: string, databaseFile: string, running: InstanceRunning) =>
  Effect.gen(function* () {
    const { databaseBytes, isShrinkable, removedBytes } = yield* AdminClient.ask(
      dataDirectory,
      { method: "POST", path: "/v1/compaction", withinMillis: answerLimitMillis },
      AdminProtocol.Compaction
    )
    if (!isShrinkable) {
      Program.complain("the file was made without incremental vacuum; stop the server once and run the command again")
      return yield* running
    }
    return { databaseFile, bytesBefore: databaseBytes + removedBytes, bytesAfter: databaseBytes, isRewritten: false }
  }).pipe(
    // A lock without a socket: the other process is no server, or serves from another data directory.
    Effect.catchTag("ServerNotRunning", () => Effect.fail(running))
  )

const program = ({ isJson }: Options) =>
  Effect.gen(function* () {
    const { config } = yield* Configuration.load
    yield* demandFile("compact", config)
    yield* SqliteVersion.demandSound(SqliteVersion.linked())
    const report = yield* DatabaseCompaction.compactFile({ filename: config.databaseFile }).pipe(
      Effect.catchTag("InstanceRunning", (running) => askServer(config.dataDirectory, config.databaseFile, running))
    )
    yield* Program.print(render(report, isJson))
  }).pipe(Logger.withMinimumLogLevel(LogLevel.Warning))

/** Compacts and ends the process. A signal ends it after the current step. */
export const run = (options: Options): void =>
  Program.runCommand(program(options), {
    withinMillis: 60_000,
    interrupted: "interrupted; nothing is lost, and what was given back until now stays so"
  })
