/** A temporary directory with a database file and a folder of migrations, and what tests ask of them. */
import * as ChildProcess from "node:child_process"
import * as FileSystem from "node:fs"
import * as OperatingSystem from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import Sqlite from "better-sqlite3"
import { Effect } from "effect"
import * as PrismaMigrator from "../../src/migration/PrismaMigrator.ts"
import { tsx } from "proving/drivers/Tsx"

const script = fileURLToPath(new URL("migrateProcess.ts", import.meta.url))

export const createParent = `CREATE TABLE "Parent" ("id" TEXT NOT NULL PRIMARY KEY, "name" TEXT);
CREATE TABLE "Child" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "parentId" TEXT NOT NULL,
    FOREIGN KEY ("parentId") REFERENCES "Parent" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);`

const open = (dir: string) => {
  const filename = Path.join(dir, "light.sqlite")
  const migrationsDir = Path.join(dir, "migrations")
  const withSqlite = <A>(use: (sqlite: Sqlite.Database) => A, path = filename): A => {
    const sqlite = new Sqlite(path)
    try {
      return use(sqlite)
    } finally {
      sqlite.close()
    }
  }
  return {
    dir,
    filename,
    migrationsDir,
    withSqlite,
    /** Adds a migration, or replaces it. */
    addMigration: (name: string, sql: string) => {
      FileSystem.mkdirSync(Path.join(migrationsDir, name), { recursive: true })
      FileSystem.writeFileSync(Path.join(migrationsDir, name, "migration.sql"), sql)
    },
    removeMigration: (name: string) => FileSystem.rmSync(Path.join(migrationsDir, name), { recursive: true }),
    migrate: (options?: Partial<PrismaMigrator.MigrateOptions>) =>
      PrismaMigrator.migrate({ filename, migrationsDir, lockTimeout: "20 millis", ...options }),
    bytes: () => FileSystem.readFileSync(filename).toString("base64"),
    /** Names beside the folder of migrations. */
    files: () =>
      FileSystem.readdirSync(dir)
        .filter((name) => name !== "migrations")
        .toSorted(),
    backups: () => FileSystem.readdirSync(dir).filter((name) => name.endsWith(".bak")),
    all: (sql: string, path = filename) => withSqlite((sqlite) => sqlite.prepare(sql).all(), path),
    /** The first column of every row. */
    pluck: (sql: string, ...parameters: ReadonlyArray<unknown>) =>
      withSqlite((sqlite) =>
        sqlite
          .prepare(sql)
          .pluck()
          .all(...parameters)
      ),
    /** Names of tables, and every row of every one of them. */
    content: (path = filename) =>
      withSqlite((sqlite) => {
        const tables = sqlite
          .prepare<[], string>("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
          .pluck()
          .all()
        return Object.fromEntries(
          tables.map((table) => [table, sqlite.prepare(`SELECT * FROM "${table}" ORDER BY 1`).all()])
        )
      }, path),
    recordedNames: (path = filename) =>
      withSqlite(
        (sqlite) =>
          sqlite.prepare<[], string>("SELECT migration_name FROM _prisma_migrations ORDER BY rowid").pluck().all(),
        path
      )
  }
}

/** The services of a test. */
export type MigrationBox = ReturnType<typeof open>

/** A box that is removed when the scope closes. Every user may enter it, since one test changes its user. */
export const make = Effect.acquireRelease(
  Effect.sync(() => {
    const dir = FileSystem.mkdtempSync(Path.join(OperatingSystem.tmpdir(), "migrator-"))
    FileSystem.chmodSync(dir, 0o755)
    FileSystem.mkdirSync(Path.join(dir, "migrations"))
    return open(dir)
  }),
  ({ dir }) => Effect.sync(() => FileSystem.rmSync(dir, { recursive: true, force: true }))
)

/** A box whose file has taken the first migration and holds one parent with two children. */
export const family = Effect.gen(function* () {
  const box = yield* make
  box.addMigration("1_create_parent", createParent)
  yield* box.migrate()
  box.withSqlite((sqlite) =>
    sqlite.exec(`INSERT INTO "Parent" VALUES ('p1', NULL); INSERT INTO "Child" VALUES ('c1', 'p1'), ('c2', 'p1')`)
  )
  return box
})

/** Starts a process that migrates the box. */
export const spawn = ({ filename, migrationsDir }: MigrationBox) => {
  const child = ChildProcess.spawn(process.execPath, ["--import", tsx, script, filename, migrationsDir], {
    stdio: ["ignore", "pipe", "pipe"]
  })
  let output = ""
  let problems = ""
  child.stderr.on("data", (chunk: Buffer) => (problems += chunk.toString()))
  const ready = new Promise<void>((resolve) => {
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString()
      if (output.startsWith("ready\n")) resolve()
    })
  })
  const ended = new Promise<string>((resolve) => {
    child.on("close", () => resolve(`${output.replace("ready\n", "")}${problems}`.trim()))
  })
  return { ready, ended, kill: () => child.kill("SIGKILL") }
}
