/** Commands that work on a file, where the configuration names a PostgreSQL database. */
import { Effect, Schema } from "effect"
import type { PostgresAddress } from "../PostgresAddress.ts"

/** The command has nothing to work on. */
export class FileNeeded extends Schema.TaggedError<FileNeeded>("light-server/FileNeeded")("FileNeeded", {
  command: Schema.String,
  place: Schema.String,
  advice: Schema.String
}) {
  override get message(): string {
    return `${this.command} works on a database file, and DATABASE_URL names ${this.place}; ${this.advice}`
  }
}

/** What does the same for PostgreSQL. */
const advice = {
  backup: "make a backup with pg_dump --format=custom",
  restore: "restore a backup with pg_restore --clean into an empty database",
  compact: "PostgreSQL reuses space by itself; VACUUM FULL gives it back to the disk",
  import: "import into a file first, without DATABASE_URL, and then use copy"
} as const

/** Fails unless the database of the configuration is a file. */
export const demandFile = (
  command: keyof typeof advice,
  { postgres }: { readonly postgres: { readonly address: PostgresAddress } | undefined }
): Effect.Effect<void, FileNeeded> =>
  postgres === undefined
    ? Effect.void
    : Effect.fail(new FileNeeded({ command, place: postgres.address.place, advice: advice[command] }))
