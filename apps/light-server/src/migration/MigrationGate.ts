/**
 * For operators who migrate by hand: lets a server start only on a file that
 * needs no migration.
 */
import { Effect, Schema } from "effect"
import * as DatabaseFile from "./DatabaseFile.ts"
import type { MigrationError } from "./MigrationError.ts"
import * as MigrationFolder from "./MigrationFolder.ts"
import * as MigrationHistory from "./MigrationHistory.ts"

/**
 * Migrations are missing, and the configuration forbids applying them. Nothing
 * written.
 */
export class MigrationsMissing extends Schema.TaggedError<MigrationsMissing>("light-server/MigrationsMissing")(
  "MigrationsMissing",
  { filename: Schema.String, names: Schema.Array(Schema.String) }
) {
  override get message(): string {
    return (
      `${this.filename} needs the migrations ${this.names.join(", ")}, and HAPPIER_SQLITE_AUTO_MIGRATE is off; ` +
      "turn it on for one start"
    )
  }
}

/** Longest wait of one statement for a foreign lock; reads rarely meet one. */
const waitLimitMillis = 5000

/** Reads which migrations are missing. Writes nothing. */
export const demandNone = (options: {
  readonly filename: string
  readonly migrationsDir: string
}): Effect.Effect<void, MigrationError | MigrationsMissing> =>
  Effect.gen(function* () {
    const { filename } = options
    const migrations = yield* MigrationFolder.read(options.migrationsDir)
    const missing = yield* DatabaseFile.withConnection({ filename, waitLimitMillis }, "readonly", (connection) =>
      Effect.flatMap(MigrationHistory.read(connection), (history) => MigrationHistory.pending(history, migrations))
    )
    if (missing.length > 0) return yield* new MigrationsMissing({ filename, names: missing.map(({ name }) => name) })
  })
