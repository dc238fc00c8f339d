/** `backup`: a verified copy of the database, beside a server that goes on. */
import { Effect, Logger, LogLevel } from "effect"
import os from "node:os"
import path from "node:path"
import * as Backup from "../operator/Backup.ts"
import { BackupUnsound } from "../operator/BackupError.ts"
import * as CopyCheck from "../operator/CopyCheck.ts"
import * as Configuration from "./Configuration.ts"
import { demandFile } from "../operator/FileDemand.ts"
import * as Program from "./Program.ts"
import * as Progress from "./Progress.ts"
import * as Quantity from "./Quantity.ts"

export interface Options {
  readonly to: string | undefined
  readonly keep: number | undefined
  readonly verify: string | undefined
  readonly withSecret: boolean
  readonly isJson: boolean
}

export const render = ({ bytes, file, millis, removed, rowCount, secret }: Backup.Report): string =>
  [
    `${file}: ${Quantity.bytes(bytes)}, ${Quantity.count(rowCount, "row")}, verified, in ${Quantity.duration(millis)}`,
    ...(secret === null ? [] : [`${secret}: the master secret, without which clients have to log in again`]),
    ...removed.map((name) => `removed ${name}`),
    ""
  ].join("\n")

/** The server goes first, wherever the system can tell them apart. */
const stepBack = Effect.ignore(Effect.try(() => os.setPriority(Math.max(os.getPriority(), 10))))

const verify = (file: string, isJson: boolean) =>
  Effect.gen(function* () {
    const problem = yield* CopyCheck.run(file)
    if (problem !== undefined) return yield* new BackupUnsound({ file, reason: problem })
    yield* Program.print(isJson ? `${JSON.stringify({ file, isSound: true })}\n` : `${file} is sound\n`)
  })

const make = ({ isJson, keep, to, withSecret }: Options) =>
  Effect.gen(function* () {
    const { config } = yield* Configuration.load
    yield* demandFile("backup", config)
    const progress = Progress.make("copying")
    const report = yield* Backup.make({
      databaseFile: config.databaseFile,
      dataDirectory: config.dataDirectory,
      directory: to === undefined ? config.backup.directory : path.resolve(to),
      keep: keep ?? config.backup.keep,
      reserveBytes: config.protection.freeReserveBytes,
      withSecret: withSecret && config.masterSecret === undefined,
      onProgress: progress.show
    }).pipe(Effect.ensuring(Effect.sync(progress.clear)))
    yield* Program.print(isJson ? `${JSON.stringify(report, undefined, 2)}\n` : render(report))
  })

const program = (options: Options) =>
  Effect.gen(function* () {
    yield* stepBack
    if (options.verify === undefined) yield* make(options)
    else yield* verify(path.resolve(options.verify), options.isJson)
  }).pipe(Logger.withMinimumLogLevel(LogLevel.Warning))

/** Makes a backup and ends the process. A signal ends it too, and leaves nothing under the name of a backup. */
export const run = (options: Options): void =>
  Program.runCommand(program(options), { withinMillis: 10_000, interrupted: "interrupted, no backup was made" })
