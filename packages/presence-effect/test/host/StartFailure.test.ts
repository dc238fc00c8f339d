/**
 * Goal: whatever keeps a host from starting is said so that its author can act: which file, table or option, why, and
 * what to do. The same by every way to start, and in every form in which errors are shown.
 * Method: each mistake through PresenceHost, the Fastify plugin and the layers of Effect.
 */
import { assert, describe, it } from "@effect/vitest"
import Database from "better-sqlite3"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import Fastify from "fastify"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { inspect } from "node:util"
import * as FastifyPresence from "../../src/host/FastifyPresence.ts"
import * as PresenceHost from "../../src/host/PresenceHost.ts"
import * as SqliteInProcess from "../../src/node/SqliteInProcess.ts"
import * as SqliteReader from "../../src/node/SqliteReader.ts"
import * as Presence from "../../src/Presence.ts"
import * as Lane from "../../src/writer/Lane.ts"
import * as SqliteWriter from "../../src/writer/SqliteWriter.ts"
import * as WriterPolicy from "../../src/writer/WriterPolicy.ts"
import { kinds, TestPresence } from "../support/kinds.ts"
import { temporaryDatabase, temporaryDirectory } from "../support/temporaryFile.ts"

const table = (name: string, columns = "active INTEGER, lastActiveAt INTEGER") =>
  `CREATE TABLE ${name} (id TEXT PRIMARY KEY, accountId TEXT, ${columns});`

type Options = Pick<PresenceHost.HostOptions, "filename"> & Partial<PresenceHost.HostOptions>

/** What a mistake is made of, and what its message must say. */
interface Mistake {
  readonly options: Options
  readonly tag: string
  readonly says: ReadonlyArray<string>
}

const fileMistakes = Effect.gen(function* () {
  const directory = yield* temporaryDirectory
  const absent = path.join(directory, "absent.sqlite")
  const homeless = path.join(directory, "no", "light.sqlite")
  const text = path.join(directory, "text.sqlite")
  fs.writeFileSync(text, "A text that is long enough to be read as the header of a database. ".repeat(30))
  const locked = path.join(directory, "locked.sqlite")
  const foreign = new Database(locked)
  foreign.exec(`${table("Session")} ${table("Machine")} BEGIN EXCLUSIVE`)
  yield* Effect.addFinalizer(() => Effect.sync(() => foreign.close()))
  const mistakes: Record<string, Mistake> = {
    "a file that is not there": {
      options: { filename: absent },
      tag: "EngineFault",
      says: [absent, "there is no such file", "migrations first", "SQLITE_CANTOPEN"]
    },
    "a folder that is not there": {
      options: { filename: homeless },
      tag: "EngineFault",
      says: [homeless, `there is no folder ${path.dirname(homeless)}`, "create it"]
    },
    "a folder instead of a file": {
      options: { filename: directory },
      tag: "EngineFault",
      says: [directory, "it is a folder", "name the database file in it"]
    },
    "a file that is no database": {
      options: { filename: text },
      tag: "EngineFault",
      says: [text, "file is not a database", "SQLITE_NOTADB", "restore a backup"]
    },
    "a file that another connection holds": {
      options: { filename: locked, openTimeout: "100 millis" },
      tag: "EngineFault",
      says: [locked, "another connection has held its lock", "SQLITE_BUSY", "100ms", "raise openTimeout"]
    },
    "a name that is no path": {
      options: { filename: undefined as unknown as string },
      tag: "EngineFault",
      says: ["filename must be the path of a database file, got undefined"]
    },
    "a database in memory": {
      options: { filename: ":memory:" },
      tag: "EngineFault",
      says: ['filename must be the path of a database file, got ":memory:"']
    }
  }
  return mistakes
})

const tableMistakes = Effect.gen(function* () {
  const both = yield* temporaryDatabase(`${table("Session")} ${table("Machine")}`)
  const one = yield* temporaryDatabase(`${table("Session")} ${table("Other")}`)
  const empty = yield* temporaryDatabase("SELECT 1")
  const columns = yield* temporaryDatabase(`${table("Session")} ${table("Machine", "online INTEGER")}`)
  const mistakes: Record<string, Mistake> = {
    "a table that is not there": {
      options: { filename: one },
      tag: "StorageInvalid",
      says: [one, 'machine.table: there is no table "Machine", only "Session", "Other"', "run your migrations"]
    },
    "a file without tables": {
      options: { filename: empty },
      tag: "StorageInvalid",
      says: [empty, 'session.table: there is no table "Session", nor any other', "migrations first"]
    },
    "columns that are not there": {
      options: { filename: columns },
      tag: "StorageInvalid",
      says: [
        columns,
        'machine.active: the table "Machine" has no column "active", only "id", "accountId", "online"',
        'machine.lastActiveAt: the table "Machine" has no column "lastActiveAt"'
      ]
    },
    "an interval of zero": {
      options: { filename: both, presence: { interval: 0 } },
      tag: "ConfigInvalid",
      says: ["interval must be a finite duration above zero"]
    },
    "a policy that contradicts itself": {
      options: {
        filename: both,
        policy: WriterPolicy.withLane(WriterPolicy.defaults, Lane.control, { deadline: "1 millis" })
      },
      tag: "PolicyInvalid",
      says: ["control"]
    }
  }
  return mistakes
})

const layered = ({ filename, openTimeout, policy, presence }: Options) =>
  Presence.layerSqlite(TestPresence, presence).pipe(
    Layer.provide(SqliteReader.layer({ filename })),
    Layer.provideMerge(SqliteWriter.layer(policy)),
    Layer.provideMerge(SqliteInProcess.layer({ filename, ...(openTimeout === undefined ? {} : { openTimeout }) })),
    Layer.provide(Logger.remove(Logger.defaultLogger))
  )

/** The ways to start, each with what it fails with. */
const ways: Record<string, (options: Options) => Effect.Effect<unknown>> = {
  PresenceHost: (options) => {
    const started = async () => PresenceHost.start({ kinds, onLog: () => undefined, ...options })
    return Effect.promise(() =>
      started().then(
        () => assert.fail("it started"),
        (reason: unknown) => reason
      )
    )
  },
  FastifyPresence: (options) =>
    Effect.promise(async () => {
      const app = Fastify()
      app.register(FastifyPresence.plugin, { kinds, onLog: () => undefined, ...options })
      try {
        await app.ready()
      } catch (error) {
        return error
      } finally {
        await app.close()
      }
      return assert.fail("it started")
    }),
  Layer: (options) =>
    Effect.map(Effect.exit(Effect.scoped(Effect.suspend(() => Layer.build(layered(options))))), (exit) =>
      Exit.isFailure(exit) ? Cause.squash(exit.cause) : assert.fail("it started")
    )
}

/** The forms in which an error is shown. */
const forms: Record<string, (error: Error) => string> = {
  message: (error) => error.message,
  String: (error) => String(error),
  "console.error": (error) => inspect(error),
  "Cause.pretty": (error) => Cause.pretty(Cause.fail(error)),
  JSON: (error) => JSON.stringify(error)
}

const check = (way: string, name: string, error: unknown, { says, tag }: Mistake) => {
  if (!(error instanceof Error)) return assert.fail(`${way}, ${name}: no Error, but ${String(error)}`)
  assert.strictEqual((error as { readonly _tag?: string })._tag, tag, `${way}, ${name}`)
  for (const [form, show] of Object.entries(forms)) {
    const shown = show(error).replaceAll('\\"', '"')
    assert.notInclude(shown, "An error has occurred", `${way}, ${name}, ${form}`)
    for (const part of says) assert.include(shown, part, `${way}, ${name}, ${form}`)
  }
}

describe("a start that fails", () => {
  it.scopedLive.each(Object.entries(ways))("names file, reason and remedy by way of %s", ([way, start]) =>
    Effect.gen(function* () {
      const mistakes = yield* fileMistakes
      for (const [name, mistake] of Object.entries(mistakes)) {
        check(way, name, yield* start(mistake.options), mistake)
      }
      const { filename } = mistakes["a file that is not there"]?.options ?? { filename: "" }
      assert.isFalse(fs.existsSync(filename), "it makes no file")
    })
  )

  it.scopedLive.each(Object.entries(ways))("names table, column and option by way of %s", ([way, start]) =>
    Effect.gen(function* () {
      for (const [name, mistake] of Object.entries(yield* tableMistakes)) {
        check(way, name, yield* start(mistake.options), mistake)
      }
    })
  )

  // Root may do everything, so another user is needed, and only root can become one.
  it.scopedLive.runIf(process.getuid?.() === 0)("says who owns what cannot be written", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const module = path.join(import.meta.dirname, "../../src/node/internal/openFailure.ts")
      const problemOf = (filename: string): string =>
        execFileSync(
          process.execPath,
          [
            "--conditions=source",
            "--import",
            "tsx",
            "--input-type=module",
            "-e",
            `const { problemOf } = await import(${JSON.stringify(module)})
             process.setgid(65534); process.setuid(65534)
             console.log(JSON.stringify(problemOf(${JSON.stringify(filename)})))`
          ],
          { encoding: "utf8", timeout: 50_000 }
        )
      fs.chmodSync(directory, 0o755)
      const filename = path.join(directory, "light.sqlite")
      fs.writeFileSync(filename, "")
      fs.chmodSync(filename, 0o644)
      const file = problemOf(filename)
      assert.include(file, "SQLITE_READONLY")
      assert.include(file, `cannot open ${filename}: this process may not read and write it`)
      assert.include(file, "(owner 0, group 0, mode 644; this process is user 65534); change its owner or its mode")
      fs.chmodSync(filename, 0o666)
      const folder = problemOf(filename)
      assert.include(folder, "SQLITE_READONLY_DIRECTORY")
      assert.include(folder, `may not create the log file in ${directory} (owner 0, group 0, mode 755`)
    })
  )
})
