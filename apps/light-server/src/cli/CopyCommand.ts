/** `copy`: all rows from a file to PostgreSQL, or back. */
import { Either, Effect, Logger, LogLevel } from "effect"
import path from "node:path"
import * as PostgresCopy from "../operator/PostgresCopy.ts"
import { CopyRefused } from "../operator/CopyError.ts"
import * as PostgresAddress from "../PostgresAddress.ts"
import * as Configuration from "./Configuration.ts"
import * as Program from "./Program.ts"
import * as Progress from "./Progress.ts"
import { aligned } from "./TextTable.ts"

export interface Options {
  /** The database of the configuration unless given. */
  readonly from: string | undefined
  readonly to: string
  readonly isJson: boolean
}

export const render = ({ from, tables, to }: PostgresCopy.Report): string =>
  [
    ...aligned(
      [
        ["table", "rows", "checksum"],
        ...tables.map(({ checksum, rowCount, table }) => [table, String(rowCount), checksum])
      ],
      new Set([1])
    ),
    "",
    `copied from ${from} to ${to}, and compared`,
    ""
  ].join("\n")

type Place = { readonly file: string } | { readonly address: PostgresAddress.PostgresAddress }

const placeOf = (text: string): Either.Either<Place, CopyRefused> =>
  PostgresAddress.isAddress(text)
    ? Either.mapBoth(PostgresAddress.parse(text), {
        onLeft: (reason) => new CopyRefused({ place: "the address of PostgreSQL", reason }),
        onRight: (address) => ({ address })
      })
    : Either.right({ file: path.resolve(text.replace(/^file:/, "")) })

const configured = Effect.map(Configuration.load, ({ config }): Place =>
  config.postgres === undefined ? { file: config.databaseFile } : { address: config.postgres.address }
)

const program = ({ from, isJson, to }: Options) =>
  Effect.gen(function* () {
    const source = from === undefined ? yield* configured : yield* placeOf(from)
    const target = yield* placeOf(to)
    const progress = Progress.make("copying")
    const onProgress = progress.show
    const copied =
      "file" in source && "address" in target
        ? PostgresCopy.toPostgres({ ...source, ...target, onProgress })
        : "address" in source && "file" in target
          ? PostgresCopy.toFile({ ...source, ...target, onProgress })
          : Effect.fail(new CopyRefused({ place: to, reason: "one of the two must be a file, the other PostgreSQL" }))
    const report = yield* Effect.ensuring(copied, Effect.sync(progress.clear))
    yield* Program.print(isJson ? `${JSON.stringify(report, undefined, 2)}\n` : render(report))
  }).pipe(Logger.withMinimumLogLevel(LogLevel.Warning))

/** Copies and ends the process. A signal ends it too, and nothing is kept. */
export const run = (options: Options): void =>
  Program.runCommand(program(options), { withinMillis: 60_000, interrupted: "interrupted, nothing was copied" })
