/**
 * T19: a flush on PostgreSQL against the two ways to write it by hand.
 *
 * At 1 000 rows against the pattern of the incident: one update per row, each a
 * commit of its own that waits for the one before. At 10 000 rows against one
 * statement with a branch per row: `CASE id WHEN … THEN …`. All of them change
 * the same table of 20 000 rows of 1.3 KB, through one connection of `pg` each,
 * ours with the storage, the writer and its lanes.
 *
 * On the PostgreSQL at `BENCH_POSTGRES_URL`, on that of the loopback interface, or
 * on one that is started.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { Client } from "pg"
import * as PostgresEngine from "presence-effect/postgres/PostgresEngine"
import * as PostgresPresenceStorage from "presence-effect/postgres/PostgresPresenceStorage"
import * as PostgresReader from "presence-effect/postgres/PostgresReader"
import * as PostgresTables from "presence-effect/postgres/PostgresTables"
import type { FlushBatch } from "presence-effect/presence/FlushBatch"
import { PresenceStorage } from "presence-effect/presence/PresenceStorage"
import * as Writer from "presence-effect/writer/Writer"
import type { Question } from "../Result.ts"
import * as Rounds from "../Rounds.ts"
import * as Services from "../Services.ts"
import * as Latency from "./support/Latency.ts"

const sessionCount = 20_000
const kinds = { session: { table: "Session", accountId: "accountId" } } as const

const connect = async (url: string): Promise<Client> => {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2_000 })
  await client.connect()
  return client
}

/** A database of its own, with the table and its rows. */
const makeDatabase = async (serverUrl: string) => {
  const admin = await connect(serverUrl)
  const name = `presence_effect_bench_${process.pid}`
  await admin.query(`CREATE DATABASE ${name}`)
  const address = new URL(serverUrl)
  address.pathname = `/${name}`
  const client = await connect(address.href)
  await client.query(`${PostgresTables.ddl(kinds)}
    ALTER TABLE "Session" ADD COLUMN metadata TEXT;
    INSERT INTO "Session" (id, "accountId", metadata)
      SELECT 'session ' || n, 'account ' || n % 100, repeat(md5(n::text), 40)
      FROM generate_series(0, ${sessionCount - 1}) n;
    ANALYZE "Session"`)
  const drop = async () => {
    await client.end()
    await admin.query(`DROP DATABASE ${name} WITH (FORCE)`)
    await admin.end()
  }
  return { client, url: address.href, drop }
}

const batchOf = (rows: number, seenAtMillis: number): FlushBatch => ({
  entries: Array.from({ length: rows }, (_, index) => {
    const n = (index * 7) % sessionCount
    return { kind: "session", id: `session ${n}`, accountId: `account ${n % 100}`, seenAtMillis, state: "alive" }
  })
})

const rowByRow = async (client: Client, { entries }: FlushBatch): Promise<void> => {
  for (const { accountId, id, seenAtMillis } of entries) {
    const { rowCount } = await client.query(
      `UPDATE "Session" SET active = true, "lastActiveAt" = $3 WHERE id = $1 AND "accountId" = $2`,
      [id, accountId, seenAtMillis]
    )
    if (rowCount !== 1) throw new Error(`the loop wrote ${rowCount} rows of ${id}`)
  }
}

const branchPerRow = async (client: Client, { entries }: FlushBatch): Promise<void> => {
  const branches = entries.map((_, index) => `WHEN $${2 * index + 1} THEN $${2 * index + 2}::bigint`).join(" ")
  const ids = entries.map((_, index) => `$${2 * index + 1}`).join(", ")
  const { rowCount } = await client.query(
    `UPDATE "Session" SET active = true, "lastActiveAt" = CASE id ${branches} END WHERE id IN (${ids})`,
    entries.flatMap(({ id, seenAtMillis }) => [id, seenAtMillis])
  )
  if (rowCount !== entries.length) throw new Error(`the branches wrote ${rowCount} of ${entries.length} rows`)
}

const plans = [
  { rows: 1_000, ratioMin: 20, rounds: 5, theirs: rowByRow, name: "a loop over the rows", iterations: 10 },
  { rows: 10_000, ratioMin: 5, rounds: 2, theirs: branchPerRow, name: "a branch per row", iterations: 2 }
]

const measure = async (url: string, client: Client, report: Parameters<Question>[0]): Promise<void> => {
  const scope = Effect.runSync(Scope.make())
  const storage = await Effect.runPromise(
    Layer.buildWithScope(
      PostgresPresenceStorage.layer({ kinds }).pipe(
        Layer.provide(Writer.layer()),
        Layer.provide(PostgresEngine.layer({ url, connections: 2 })),
        Layer.provide(PostgresReader.layer({ url, connections: 1 }))
      ),
      scope
    ).pipe(Effect.map(Context.get(PresenceStorage)))
  )
  let seenAtMillis = 1_700_000_000_000
  const flush = async (rows: number): Promise<void> => {
    const { written } = await Effect.runPromise(storage.flush(batchOf(rows, (seenAtMillis += 1_000))))
    if (written.length !== rows) throw new Error(`the flush wrote ${written.length} of ${rows} rows`)
  }
  for (const { iterations, name, ratioMin, rounds, rows, theirs } of plans) {
    const { ratio, sides } = await Rounds.measure(rounds, {
      ours: () => Latency.p50Millis(() => flush(rows), { timeMillis: 1, iterations }),
      theirs: () =>
        Latency.p50Millis(() => theirs(client, batchOf(rows, (seenAtMillis += 1_000))), {
          timeMillis: 1,
          iterations: 1
        })
    })
    const faster = ratio("theirs", "ours")
    report({
      id: `T19@${rows}`,
      ours: sides.ours.median,
      theirs: sides.theirs.median,
      unit: "ms",
      ratio: faster,
      target: `ratio >= ${ratioMin}`,
      met: faster >= ratioMin,
      note: `against ${name}: ${Rounds.spread(sides.ours)} against ${Rounds.spread(sides.theirs)}`
    })
  }
  await Effect.runPromise(Scope.close(scope, Exit.void))
}

export const question: Question = (report) =>
  Services.withPostgres("T19", (serverUrl) =>
    Effect.promise(async () => {
      const { client, drop, url } = await makeDatabase(serverUrl)
      try {
        await measure(url, client, report)
      } finally {
        await drop()
      }
    })
  )
