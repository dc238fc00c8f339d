/**
 * Adopts a file in a process of its own that kills itself before an addition.
 *
 * Arguments: file, number of additions before that. Prints the number of additions if it is not killed.
 */
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as Adoption from "../../src/adoption/Adoption.ts"
import * as MigrationFolder from "../../src/migration/MigrationFolder.ts"

const [filename = "", limit = "0"] = process.argv.slice(2)
let left = Number(limit)

const suicidal = Logger.make(({ message }) => {
  if (String(message).startsWith("adding ") && left-- === 0) process.kill(process.pid, "SIGKILL")
})

const report = Adoption.adoptIfForeign({ filename, migrationsDir: MigrationFolder.bundledDir }).pipe(
  Logger.withMinimumLogLevel(LogLevel.Debug),
  Effect.provide(Logger.replace(Logger.defaultLogger, suicidal)),
  Effect.runSync
)
console.log(Option.match(report, { onNone: () => -1, onSome: ({ additions }) => additions.length }))
