import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as PostgresEngine from "../../src/postgres/PostgresEngine.ts"
import { engineSuite, schema, type Server } from "../support/engineCases.ts"
import { describePostgres, makeOwnPostgres } from "../support/postgresWorld.ts"

const awaitTrue = async (isTrue: () => Promise<boolean>): Promise<void> => {
  while (!(await isTrue())) await new Promise((resolve) => setImmediate(resolve))
}

const others = `FROM pg_stat_activity WHERE application_name = 'presence-effect' AND pid <> pg_backend_pid()
  AND datname = current_database()`

const makeWorld = (ddl = "") =>
  Effect.map(makeOwnPostgres(schema + ddl), ({ connect, query, url }) => ({
    url,
    port: Number(new URL(url).port),
    query,
    session: async () => {
      const client = await connect()
      return (sql: string) => client.query(sql)
    },
    terminate: async () => {
      await query(`SELECT pg_terminate_backend(pid) ${others}`)
    },
    awaitWaiting: () =>
      awaitTrue(async () => (await query(`SELECT 1 ${others} AND wait_event_type = 'Lock'`)).length > 0)
  }))

const server: Server = {
  name: "PostgreSQL",
  make: makeWorld(),
  open: (url, connections) => PostgresEngine.make({ url, ...(connections === undefined ? {} : { connections }) }),
  text: (sql) => {
    let count = 0
    return sql.replaceAll("?", () => `$${++count}`)
  },
  hold: "UPDATE parent SET name = 'held' WHERE id = 1"
}

describePostgres("PostgresEngine", () => {
  engineSuite(server)

  it.scoped("asks for the durability of the lane, and for limits below what the caller waits", () =>
    Effect.gen(function* () {
      const { url } = yield* makeWorld()
      const engine = yield* PostgresEngine.make({ url })
      const settings = ["synchronous_commit", "lock_timeout", "statement_timeout", "transaction_isolation"]
      const sql = `SELECT ${settings.map((name) => `current_setting('${name}') AS ${name}`).join(", ")}`
      const statement = { sql, params: [], changes: "any" as const }
      const settingsOf = (durability: "power-loss" | "process-crash") =>
        Effect.map(engine.run([[statement]], durability, 1_000), ([answer]) =>
          answer?._tag === "Done" ? answer.results[0]?.rows[0] : undefined
        )
      const limits = { lock_timeout: "800ms", statement_timeout: "900ms", transaction_isolation: "read committed" }
      assert.deepStrictEqual(yield* settingsOf("process-crash"), { synchronous_commit: "off", ...limits })
      assert.deepStrictEqual(yield* settingsOf("power-loss"), { synchronous_commit: "on", ...limits })
    })
  )

  it.scoped("is busy when a statement takes longer than its caller waits", () =>
    Effect.gen(function* () {
      const { query, url } = yield* makeWorld()
      const engine = yield* PostgresEngine.make({ url })
      const insert = { sql: "INSERT INTO parent VALUES (1, 'a')", params: [], changes: "any" as const }
      const sleep = { ...insert, sql: "SELECT pg_sleep(60)" }
      const answers = yield* engine.run([[insert], [{ ...insert, sql: "SELECT 1" }, sleep]], "power-loss", 300)
      const codes = answers.map((answer) => (answer._tag === "Done" ? "Done" : answer.fault.code))
      assert.deepStrictEqual(codes, ["Done", "57014"])
      assert.strictEqual((yield* Effect.promise(() => query("SELECT id FROM parent"))).length, 1)
    })
  )

  it.scoped("ends a group with the write that waited for a lock as long as the group may take", () =>
    Effect.gen(function* () {
      const { query, session, url } = yield* makeWorld()
      yield* Effect.promise(() => query("INSERT INTO parent VALUES (1, 'a')"))
      const holder = yield* Effect.promise(session)
      yield* Effect.promise(() => holder("BEGIN"))
      yield* Effect.promise(() => holder("UPDATE parent SET name = 'held' WHERE id = 1"))
      const engine = yield* PostgresEngine.make({ url })
      const write = (sql: string) => [{ sql, params: [], changes: "any" as const }]
      const waits = write("UPDATE parent SET name = 'b' WHERE id = 1")
      const began = performance.now()
      const answers = yield* engine.run([write("SELECT 1"), waits, waits, waits, waits], "power-loss", 500)
      const codes = answers.map((answer) => (answer._tag === "Done" ? "Done" : answer.fault.code))
      assert.deepStrictEqual(codes, ["Done", "55P03", "55P03", "55P03", "55P03"])
      // Each of the four would have waited for 400 ms.
      assert.isBelow(performance.now() - began, 1_600)
      yield* Effect.promise(() => holder("ROLLBACK"))
      assert.strictEqual(
        (yield* engine.run([waits, waits], "power-loss", 500)).every(({ _tag }) => _tag === "Done"),
        true
      )
    })
  )

  it.scoped("lets a constraint that is only checked at the commit fail the write that broke it, and no other", () =>
    Effect.gen(function* () {
      const { query, url } = yield* makeWorld(
        `CREATE TABLE late (id INTEGER PRIMARY KEY,
           parent INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);`
      )
      const engine = yield* PostgresEngine.make({ url })
      const statement = (sql: string) => [{ sql, params: [], changes: "any" as const }]
      const orphan = statement("INSERT INTO late VALUES (1, 99)")
      const group = [
        statement("INSERT INTO parent VALUES (8, 'a')"),
        orphan,
        statement("INSERT INTO parent VALUES (9, 'b')")
      ]
      const answers = yield* engine.run(group, "power-loss", 5_000)
      const codes = answers.map((answer) => (answer._tag === "Done" ? "Done" : answer.fault.code))
      assert.deepStrictEqual(codes, ["Done", "23503", "Done"])
      assert.deepStrictEqual(
        (yield* engine.run([orphan], "power-loss", 5_000)).map(({ _tag }) => _tag),
        ["Failed"]
      )
      assert.strictEqual((yield* Effect.promise(() => query("SELECT id FROM parent"))).length, 2)
    })
  )

  it.scoped("writes also where the sessions of the database only read by default", () =>
    Effect.gen(function* () {
      const { url } = yield* makeWorld()
      const engine = yield* PostgresEngine.make({
        url: `${url} -cdefault_transaction_read_only%3Don`.replace(" ", "%20")
      })
      const insert = { sql: "INSERT INTO parent VALUES (1, 'a')", params: [], changes: "any" as const }
      assert.deepStrictEqual(
        (yield* engine.run([[insert]], "power-loss", 5_000)).map(({ _tag }) => _tag),
        ["Done"]
      )
    })
  )
})
