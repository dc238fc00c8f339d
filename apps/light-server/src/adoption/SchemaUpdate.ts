/** Brings a file to the schema of this build: by its own migrations, or by adoption where it is of another server. */
import { Effect, Option } from "effect"
import * as FileSystem from "node:fs"
import * as MigrationGate from "../migration/MigrationGate.ts"
import type { MigrationError } from "../migration/MigrationError.ts"
import * as MigrationFolder from "../migration/MigrationFolder.ts"
import * as PrismaMigrator from "../migration/PrismaMigrator.ts"
import * as Adoption from "./Adoption.ts"
import type { AdoptionMissing, AdoptionRefused } from "./AdoptionError.ts"

export type SchemaError = MigrationError | MigrationGate.MigrationsMissing | AdoptionRefused | AdoptionMissing

/** `applied`: names of migrations, or what was added to a file of another server. */
export interface Report {
  readonly applied: ReadonlyArray<string>
  /** The copy from before; none when nothing was written or the file had no rows. */
  readonly backup: Option.Option<string>
}

const nothing: Report = { applied: [], backup: Option.none() }

/**
 * Applies what is missing. With `isAllowed` false it fails with `MigrationsMissing` or `AdoptionMissing` instead, and
 * writes nothing.
 */
export const run = (
  options: PrismaMigrator.MigrateOptions & { readonly isAllowed: boolean }
): Effect.Effect<Report, SchemaError> =>
  Effect.flatMap(
    // A file of another happier light server has migrations of its own; it gets what it lacks and keeps those.
    Adoption.adoptIfForeign(options),
    Option.match({
      onNone: () =>
        options.isAllowed ? PrismaMigrator.migrate(options) : Effect.as(MigrationGate.demandNone(options), nothing),
      onSome: ({ additions, backup }) => Effect.succeed({ applied: additions.map(({ adds }) => adds), backup })
    })
  )

/** What `run` would apply. Writes nothing. */
export const pending = (
  options: PrismaMigrator.MigrateOptions
): Effect.Effect<ReadonlyArray<string>, MigrationError | AdoptionRefused> =>
  FileSystem.existsSync(options.filename)
    ? run({ ...options, isAllowed: false }).pipe(
        Effect.as<ReadonlyArray<string>>([]),
        Effect.catchTags({
          MigrationsMissing: ({ names }) => Effect.succeed(names),
          AdoptionMissing: ({ additions }) => Effect.succeed(additions)
        })
      )
    : Effect.map(MigrationFolder.read(options.migrationsDir), (migrations) => migrations.map(({ name }) => name))
