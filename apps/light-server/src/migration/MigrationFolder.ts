/** The migrations of this build, as Prisma lays them out: `<name>/migration.sql`, in the order of their names. */
import * as Crypto from "node:crypto"
import * as FileSystem from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import { MigrationFolderInvalid } from "./MigrationError.ts"

/** One migration: its text, and the checksum by which a changed text is noticed. */
export interface Migration {
  readonly name: string
  readonly sql: string
  /** SHA-256 of the file's bytes, in hexadecimal, as Prisma records it. */
  readonly checksum: string
}

/** Migrations in the order they are taken; there is at least one. */
export type Migrations = readonly [Migration, ...Array<Migration>]

/** In a package the migrations are beside the program, in a clone at its root. */
const places = ["../../prisma/migrations", "../../../../prisma/migrations"].map((place) =>
  fileURLToPath(new URL(place, import.meta.url))
)

/** Where the migrations are, seen from the sources and from what is built of them alike. */
export const bundledDir: string = places.find((place) => FileSystem.existsSync(place)) ?? places.join(" or ")

/** With the bodies of functions, in which a block begins with the same word. */
const commentsAndLiterals = /\$(\w*)\$[^]*?\$\1\$|--[^\n]*|\/\*[^]*?\*\/|'(?:[^']|'')*'|"(?:[^"]|"")*"/g
const transactionControl = /(?:^|;)\s*(BEGIN|COMMIT|END\s+TRANSACTION|ROLLBACK|SAVEPOINT|RELEASE)\b/i

const readMigration = (migrationsDir: string, name: string): Migration => {
  const bytes = FileSystem.readFileSync(Path.join(migrationsDir, name, "migration.sql"))
  const sql = bytes.toString("utf8")
  const control = transactionControl.exec(sql.replace(commentsAndLiterals, " "))
  if (control !== null) {
    throw new Error(`${name} contains ${control[1]}, but a migration is one transaction already`)
  }
  return { name, sql, checksum: Crypto.createHash("sha256").update(bytes).digest("hex") }
}

/**
 * Reads every migration of a folder, oldest first.
 *
 * Fails with `MigrationFolderInvalid` when the folder or a `migration.sql` cannot be read, when the folder is empty, or
 * when a migration would end the transaction it runs in. Nothing is written.
 */
export const read = (migrationsDir: string): Effect.Effect<Migrations, MigrationFolderInvalid> =>
  Effect.try({
    try: () => {
      const [first, ...rest] = FileSystem.readdirSync(migrationsDir, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map((entry) => entry.name)
        .toSorted()
        .map((name) => readMigration(migrationsDir, name))
      if (first === undefined) throw new Error("there is none")
      return [first, ...rest] as const
    },
    catch: (cause) =>
      new MigrationFolderInvalid({ migrationsDir, reason: cause instanceof Error ? cause.message : String(cause) })
  })
