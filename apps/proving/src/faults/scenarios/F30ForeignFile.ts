/** F30: a file of another happier light server, and one from the future. */
import { Effect } from "effect"
import { createHash } from "node:crypto"
import fs from "node:fs"
import path from "node:path"
import * as FixtureBox from "../../fixtures/FixtureBox.ts"
import * as Fixtures from "../../fixtures/make-fixtures.ts"
import * as BuiltServer from "../../drivers/BuiltServer.ts"
import * as TemporaryDirectory from "../../drivers/TemporaryDirectory.ts"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"

const databaseName = "happier-server-light.sqlite"

const place = (name: Fixtures.FixtureName) =>
  Effect.map(TemporaryDirectory.make, (directory) => {
    const file = path.join(directory, databaseName)
    fs.copyFileSync(Fixtures.fileOf(name), file)
    return { directory, file }
  })

const digest = (file: string) => createHash("sha256").update(fs.readFileSync(file)).digest("hex")

/** Every value of every column that was there before, in the tables of the other server, by table. */
const valuesOf = (file: string, columns: ReadonlyMap<string, ReadonlyArray<string>>) =>
  FixtureBox.withSqlite(file, (sqlite) =>
    JSON.stringify(
      [...columns].map(([table, names]) => {
        // Presence and counters are what a server changes.
        const kept = names.filter((name) => !/^(active|lastActiveAt|updatedAt)$/.test(name))
        const values = kept.map((name) => `typeof("${name}") || quote("${name}")`).join(" || ',' || ")
        return sqlite.prepare(`SELECT ${values} FROM "${table}" ORDER BY rowid`).pluck().all()
      })
    )
  )

const columnsOf = (file: string) =>
  FixtureBox.withSqlite(file, (sqlite) => {
    const tables = sqlite.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").pluck().all() as Array<string>
    const columns = sqlite.prepare<[string], string>("SELECT name FROM pragma_table_info(?)").pluck()
    return new Map(tables.map((table) => [table, columns.all(table)]))
  })

/** Starts and ends a server on it, twice. */
const opened = (name: Fixtures.FixtureName) =>
  Effect.gen(function* () {
    const { directory, file } = yield* place(name)
    const columns = columnsOf(file)
    const before = valuesOf(file, columns)
    const server = yield* BuiltServer.start({}, { directory })
    const first = yield* server.end("SIGTERM")
    yield* server.start
    const second = yield* server.end("SIGTERM")
    return [
      Observe.equal(`${name}: exit codes of two runs`, `${first.code}, ${second.code}`, "0, 0"),
      Observe.yes(`${name}: every value is as it was`, valuesOf(file, columns) === before),
      Observe.equal(`${name}: integrity`, String(server.rows("PRAGMA integrity_check")[0]?.["integrity_check"]), "ok")
    ]
  }).pipe(Effect.scoped)

/** A start that must be refused without a change. */
const refused = (
  name: string,
  prepare: Effect.Effect<{ readonly directory: string; readonly file: string }, never, never>
) =>
  Effect.gen(function* () {
    const { directory, file } = yield* prepare
    const before = digest(file)
    const server = yield* BuiltServer.make({}, { directory })
    yield* server.launch
    const { code } = yield* server.ended
    return [
      Observe.equal(`${name}: exit code`, code ?? -1, 5),
      Observe.yes(`${name}: every byte is as it was`, digest(file) === before),
      Observe.figure(`${name}: it reports`, server.output().trim().split("\n").at(-1)?.slice(0, 160) ?? "")
    ]
  }).pipe(Effect.scoped)

export const F30ForeignFile: Scenario = {
  id: "F30",
  title: "files of another happier light server, and of a newer one of ours",
  injected:
    "starts on three files of other servers, on one that is not understood, and on one with an unknown migration",
  promises: ["P1", "P17"],
  needs: [],
  isQuick: false,
  within: "60 seconds",
  run: () =>
    Effect.gen(function* () {
      const newer = yield* TemporaryDirectory.make
      const own = yield* BuiltServer.start({}, { directory: path.join(newer, "data") })
      yield* own.end("SIGTERM")
      FixtureBox.withSqlite(own.databaseFile, (sqlite) => {
        sqlite.exec(`PRAGMA journal_mode = DELETE; INSERT INTO _prisma_migrations
          SELECT 'from-the-future', checksum, finished_at, '29990101000000_of_a_later_build', logs, rolled_back_at,
            started_at, applied_steps_count FROM _prisma_migrations LIMIT 1`)
      })
      const files = yield* Effect.forEach(["integers", "iso-text", "mixed"] as const, opened)
      const broken = yield* place("broken")
      return [
        ...files.flat(),
        ...(yield* refused("not understood", Effect.succeed(broken))),
        ...(yield* refused("of a later build", Effect.succeed({ directory: own.directory, file: own.databaseFile })))
      ]
    })
}
