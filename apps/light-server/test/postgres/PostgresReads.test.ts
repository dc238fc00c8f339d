import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Schema } from "effect"
import * as ReadPool from "../../src/database/ReadPool.ts"
import * as PostgresReads from "../../src/postgres/PostgresReads.ts"
import * as PostgresWorld from "../support/PostgresWorld.ts"

const Row = Schema.Struct({ n: Schema.Int })

const make = (classes: Partial<ReadPool.Options["classes"]> = {}) =>
  Effect.flatMap(PostgresWorld.PostgresWorld, ({ address }) =>
    PostgresReads.make({ address, connections: 3, classes: { ...ReadPool.defaults.classes, ...classes } })
  )

const one = `SELECT ?::int AS "n"`

PostgresWorld.describePostgres("PostgresReads", () => {
  it.scopedLive("ends a read at the deadline of its class, in the server too, and the next one goes on", () =>
    Effect.gen(function* () {
      const reader = yield* make({ list: { queueLimit: 4, deadline: "200 millis" } })
      const late = yield* Effect.flip(reader.rowsAside("list", Row, `SELECT 1 AS "n" FROM pg_sleep(30)`, []))
      assert.deepInclude(late, { _tag: "ReadTimeout", readClass: "list", limitMillis: 200 })
      assert.deepStrictEqual(yield* reader.rowsAside("list", Row, one, [7]), [{ n: 7 }])
    }).pipe(Effect.scoped, Effect.provide(PostgresWorld.empty))
  )

  it.scopedLive("refuses what the queue of a class cannot take, while other classes are answered", () =>
    Effect.gen(function* () {
      const reader = yield* make({ report: { queueLimit: 1, deadline: "20 seconds" } })
      const slow = reader.rowsAside("report", Row, `SELECT 1 AS "n" FROM pg_sleep(0.5)`, [])
      const waiting = yield* Effect.forEach([1, 2], () => Effect.fork(slow))
      yield* Effect.yieldNow()
      const refused = yield* Effect.flip(slow)
      assert.deepInclude(refused, { _tag: "ReadOverflow", readClass: "report", limit: 1 })
      assert.deepStrictEqual(yield* reader.rows(Row, one, [3]), [{ n: 3 }])
      yield* Effect.forEach(waiting, Fiber.join)
      assert.lengthOf(yield* slow, 1)
    }).pipe(Effect.scoped, Effect.provide(PostgresWorld.empty))
  )

  it.scopedLive("cannot write, and names the code of a statement that fails", () =>
    Effect.gen(function* () {
      const reader = yield* make()
      const refused = yield* Effect.flip(reader.rows(Row, `CREATE TABLE "t" ("n" INT)`))
      assert.deepInclude(refused, { _tag: "ReadFailed", code: "25006" })
      const broken = yield* Effect.flip(reader.rows(Row, "SELEC"))
      assert.strictEqual(broken.code, "42601")
      assert.strictEqual(reader.dialect.name, "postgres")
    }).pipe(Effect.scoped, Effect.provide(PostgresWorld.empty))
  )

  it.scopedLive("goes on with new connections when the server has ended all of them", () =>
    Effect.gen(function* () {
      const { address, query, schema } = yield* PostgresWorld.PostgresWorld
      const reader = yield* PostgresReads.make({ address, connections: 3, applicationName: schema })
      assert.deepStrictEqual(yield* reader.rows(Row, one, [1]), [{ n: 1 }])
      yield* query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1`, [schema])
      // The first read on a broken connection may be the one that finds out.
      yield* Effect.ignore(reader.rows(Row, one, [2]))
      assert.deepStrictEqual(yield* reader.rows(Row, one, [3]), [{ n: 3 }])
    }).pipe(Effect.scoped, Effect.provide(PostgresWorld.empty))
  )
})
