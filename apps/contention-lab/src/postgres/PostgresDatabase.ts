/** The database of one run in a schema of PostgreSQL: the tables of the light server, and the rows that beat. */
import { Effect } from "effect"
import { Client } from "pg"
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"
import type { Evidence } from "../LabDatabase.ts"
import type { RealDatabase } from "../RealDatabase.ts"
import * as PostgresStrategy from "../strategies/PostgresStrategy.ts"
import { accountId, type Workload } from "../Workload.ts"

const folder = "prisma/postgresql/migrations/"

const migrations = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? `../../../../${folder}` : `../../../../../${folder}`, import.meta.url)
)

const connected = <A>(url: string, use: (client: Client) => Promise<A>): Effect.Effect<A> =>
  Effect.promise(async () => {
    const client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000 })
    client.on("error", () => undefined)
    await client.connect()
    try {
      return await use(client)
    } finally {
      await client.end()
    }
  })

const migrate = async (client: Client): Promise<void> => {
  const folders = fs.readdirSync(migrations, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  for (const { name } of folders.toSorted((left, right) => (left.name < right.name ? -1 : 1))) {
    // oxlint-disable-next-line no-await-in-loop -- in their order
    await client.query(fs.readFileSync(`${migrations}${name}/migration.sql`, "utf8"))
  }
}

const fill = async (client: Client, { machines, sessions }: Workload, nowMillis: number): Promise<void> => {
  await client.query(`INSERT INTO "Account" ("id", "publicKey", "createdAt", "updatedAt") VALUES ($1, 'key', $2, $2)`, [
    accountId,
    nowMillis
  ])
  const row = `"accountId", "metadata", "lastActiveAt", "createdAt", "updatedAt"`
  const values = `$2, 'ciphertext', $3::bigint, $3, $3 FROM unnest($1::text[]) AS id`
  await client.query(`INSERT INTO "Session" ("id", "tag", ${row}) SELECT id, id, ${values}`, [
    sessions.map(({ id }) => id),
    accountId,
    nowMillis
  ])
  await client.query(`INSERT INTO "Machine" ("id", ${row}) SELECT id, ${values}`, [
    machines.map(({ id }) => id),
    accountId,
    nowMillis
  ])
  // Of a table without statistics the server may choose another plan than in the middle of the day.
  await client.query(`ANALYZE "Session", "Machine", "Account"`)
}

const examine = async (client: Client, acknowledged: ReadonlyArray<string>, nowMillis: number): Promise<Evidence> => {
  const one = async (sql: string, ...params: ReadonlyArray<unknown>): Promise<number> =>
    Number((await client.query<{ readonly value: string }>(sql, [...params])).rows[0]?.value)
  const stored = await one(`SELECT count(*) AS value FROM "Machine" WHERE "id" = ANY($1)`, acknowledged)
  return {
    acknowledgedMissingCount: acknowledged.length - stored,
    storedAgeMaxMillis: Math.max(0, nowMillis - (await one(`SELECT min("lastActiveAt") AS value FROM "Session"`))),
    messageCount: await one(`SELECT count(*) AS value FROM "SessionMessage"`),
    reportCount: await one(`SELECT count(*) AS value FROM "UsageReport"`)
  }
}

/** The database at `url`, which names a schema. */
export const make = (url: string): RealDatabase => ({
  prepare: (workload, nowMillis) =>
    connected(url, async (client) => {
      await migrate(client)
      await fill(client, workload, nowMillis)
    }),
  strategy: (run) => PostgresStrategy.make(run, url),
  examine: (acknowledged, nowMillis) => connected(url, (client) => examine(client, acknowledged, nowMillis))
})
