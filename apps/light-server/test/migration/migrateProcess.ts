/**
 * Migrates in a process of its own, so that a test can kill it or run two.
 *
 * Arguments: file, folder of migrations. Prints `ready` when it begins and its report, or its error's tag, as JSON when
 * it ends.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Logger from "effect/Logger"
import * as PrismaMigrator from "../../src/migration/PrismaMigrator.ts"

const [filename = "", migrationsDir = ""] = process.argv.slice(2)
process.stdout.write("ready\n", () => {
  const result = PrismaMigrator.migrate({ filename, migrationsDir, lockTimeout: "10 seconds" }).pipe(
    Effect.either,
    Effect.provide(Logger.remove(Logger.defaultLogger)),
    Effect.runSync
  )
  const answer = Either.match(result, {
    onLeft: ({ _tag, message }) => ({ _tag, message }),
    onRight: ({ applied }) => ({ applied })
  })
  process.stdout.write(`${JSON.stringify(answer)}\n`)
})
