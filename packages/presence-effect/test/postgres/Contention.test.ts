/**
 * Goal: two replicas on one PostgreSQL never wait for each other in a circle. Method: both write the same rows in two
 * orders at once, as they are and with a bug planted in the text of the library, which must show.
 */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as PostgresTables from "../../src/postgres/PostgresTables.ts"
import type * as Contention from "../support/contention.ts"
import { type Bug, withBug } from "../support/planted.ts"
import { describePostgres, makePostgres } from "../support/postgresWorld.ts"

const ids = Array.from({ length: 300 }, (_, index) => `d${index}`)
const accounts = Array.from({ length: 24 }, (_, index) => `a${String(index).padStart(2, "0")}`)

const world = Effect.gen(function* () {
  const ddl = PostgresTables.ddl({ device: { table: "Device", accountId: "accountId" } })
  const made = yield* makePostgres(
    `${ddl} CREATE TABLE "Account" (id TEXT PRIMARY KEY, seq INTEGER NOT NULL DEFAULT 0)`
  )
  yield* Effect.promise(async () => {
    await made.query(`INSERT INTO "Device" (id, "accountId") SELECT unnest($1::text[]), 'a'`, [ids])
    await made.query(`INSERT INTO "Account" (id) SELECT unnest($1::text[])`, [accounts])
  })
  return made
})

/** Nothing is changed. */
const none: Bug = {
  file: "postgres/internal/presenceSql.ts",
  find: "FOR NO KEY UPDATE OF t SKIP LOCKED\n)`\n",
  replace: "FOR NO KEY UPDATE OF t SKIP LOCKED\n)`\n"
}

const waitsForRows: Bug = { ...none, replace: "FOR NO KEY UPDATE OF t\n)`\n" }

const unsorted: Bug = {
  file: "writer/internal/attempts.ts",
  find: "if (group.length === 1 || group.every(({ write }) => write.lock === undefined)) return group",
  replace: "return group"
}

const load = (bug: Bug) => Effect.promise(() => withBug<typeof Contention>("contention", bug))

describePostgres("two replicas that write the same rows", () => {
  it.scopedLive("skip what another transaction holds; a flush that waits for it is given up by the database", () =>
    Effect.gen(function* () {
      const { connect, url } = yield* world
      const [sound, broken] = [yield* load(none), yield* load(waitsForRows)]
      const foreign = yield* Effect.promise(connect)
      yield* Effect.promise(() => foreign.query(`BEGIN; UPDATE "Device" SET active = active WHERE id IN ('d7', 'd8')`))
      assert.deepStrictEqual(yield* Effect.promise(() => sound.flush(url, ids)), { givenUp: 0, deferred: 2 })
      assert.deepStrictEqual(yield* Effect.promise(() => broken.flush(url, ids)), { givenUp: 1, deferred: 0 })
    })
  )

  it.scopedLive("sort the writes that share a commit; groups in the order of their arrival end in deadlocks", () =>
    Effect.gen(function* () {
      const { url } = yield* world
      const [sound, broken] = [yield* load(none), yield* load(unsorted)]
      assert.isAbove((yield* Effect.promise(() => broken.groups(url, accounts, 100))).givenUp, 0)
      assert.strictEqual((yield* Effect.promise(() => sound.groups(url, accounts, 10))).givenUp, 0)
    })
  )
})
