/** The PostgreSQL server of a call of the lab: one that is there, or one of its own. */
import { Data, Effect, type Scope } from "effect"
import { Client } from "pg"
import { slowSyncMillis } from "../Scenario.ts"
import * as EmbeddedServer from "./EmbeddedServer.ts"
import * as PostgresAddress from "./PostgresAddress.ts"

/** Known before anything runs. */
export class ServerUnusable extends Data.TaggedError("ServerUnusable")<{ readonly detail: string }> {}

export interface Choice {
  /** `found`: on the loopback interface, or else one that is started. */
  readonly which: "found" | "embedded" | { readonly url: string }
  readonly disk: "real" | "slow"
}

export interface Server {
  readonly url: string
  /** For the reader: version and place. */
  readonly name: string
}

export const loopbackUrl = "postgres://postgres@127.0.0.1:5432/postgres"

const oldestVersion = 150_000

/** Each wait for the disk takes longer then, as on a slow disk: callers that wait at the same time share it. */
export const slowDisk = { commit_delay: slowSyncMillis * 1_000, commit_siblings: 0 }

const codeOf = (cause: unknown): string =>
  typeof cause === "object" && cause !== null && "code" in cause && cause.code !== undefined ? String(cause.code) : ""

/** Codes of the server are five characters, and those of the system are words. */
const problemOf = (cause: unknown): string => {
  const code = codeOf(cause)
  const message = cause instanceof Error ? cause.message : String(cause)
  if (/^[0-9A-Z]{5}$/.test(code)) return `cannot be used (${code}): ${message}`
  return `cannot be reached (${code === "" ? message : code})`
}

interface Answer {
  readonly version: string
  readonly number: number
  readonly standby: boolean
  readonly creates: boolean
  readonly syncs: boolean
}

const question = `SELECT current_setting('server_version') AS version,
  current_setting('server_version_num')::int AS number, pg_is_in_recovery() AS standby,
  has_database_privilege(current_database(), 'CREATE') AS creates, current_setting('fsync') = 'on' AS syncs`

const lackOf = ({ creates, number, standby, syncs, version }: Answer, disk: Choice["disk"]): string | undefined => {
  if (number < oldestVersion) return `is PostgreSQL ${version}, and 15 is the oldest that works`
  if (standby) return "is a standby, which takes no writes"
  if (!creates) return "lets this user create no schema: grant CREATE on the database"
  if (disk === "slow" && !syncs) return "does not wait for its disk (fsync = off), so --disk slow shows nothing"
  return undefined
}

const ask = async (url: string, disk: Choice["disk"]): Promise<Server> => {
  const shown = PostgresAddress.shown(url)
  const client = new Client({
    connectionString: url,
    connectionTimeoutMillis: 3_000,
    application_name: "contention-lab"
  })
  client.on("error", () => undefined)
  try {
    await client.connect()
    const { rows } = await client.query<Answer>(question)
    const [answer] = rows
    const lack = answer === undefined ? "does not answer" : lackOf(answer, disk)
    if (lack !== undefined) throw new ServerUnusable({ detail: `${shown} ${lack}` })
    if (disk === "slow") {
      for (const [name, value] of Object.entries(slowDisk)) {
        // oxlint-disable-next-line no-await-in-loop -- two settings of one connection
        await client.query(`SET ${name} = ${value}`)
      }
    }
    return { url, name: `PostgreSQL ${answer?.version} at ${shown}` }
  } catch (cause) {
    if (cause instanceof ServerUnusable) throw cause
    throw new ServerUnusable({ detail: `${shown} ${problemOf(cause)}` })
  } finally {
    await client.end().catch(() => undefined)
  }
}

const at = (url: string, disk: Choice["disk"]): Effect.Effect<Server, ServerUnusable> =>
  Effect.tryPromise({
    try: () => ask(url, disk),
    catch: (cause) => (cause instanceof ServerUnusable ? cause : new ServerUnusable({ detail: String(cause) }))
  })

const embedded = (disk: Choice["disk"]): Effect.Effect<Server, ServerUnusable, Scope.Scope> =>
  EmbeddedServer.start.pipe(
    Effect.mapError((detail) => new ServerUnusable({ detail })),
    Effect.flatMap((url) => at(url, disk)),
    Effect.map(({ name, url }) => ({ url, name: `${name}, started for this run` }))
  )

/** Stopped when the scope closes, if it was started here. */
export const open = ({ disk, which }: Choice): Effect.Effect<Server, ServerUnusable, Scope.Scope> => {
  if (which === "embedded") return embedded(disk)
  if (which !== "found") return at(which.url, disk)
  return Effect.catchAll(at(loopbackUrl, disk), (there) =>
    Effect.mapError(
      embedded(disk),
      (own) =>
        new ServerUnusable({
          detail: `${there.detail}; ${own.detail}. Start a server, or give --database postgres://user@host/database`
        })
    )
  )
}
