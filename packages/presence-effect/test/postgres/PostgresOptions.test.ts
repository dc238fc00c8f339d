import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as PostgresEngine from "../../src/postgres/PostgresEngine.ts"
import { describePostgres, makePostgres } from "../support/postgresWorld.ts"
import { makeProxy, through } from "../support/tcpProxy.ts"

describePostgres("PostgresOptions", () => {
  it.scoped("has four connections unless told otherwise, and two at least", () =>
    Effect.gen(function* () {
      const { url } = yield* makePostgres("")
      assert.strictEqual((yield* PostgresEngine.make({ url })).permits, 4)
      assert.strictEqual((yield* PostgresEngine.make({ url, connections: 1 })).permits, 2)
    })
  )

  it.scoped("names its connections as the host says", () =>
    Effect.gen(function* () {
      const { query, url } = yield* makePostgres("")
      yield* PostgresEngine.make({ url, applicationName: "a host of a test" })
      const rows = yield* Effect.promise(() =>
        query("SELECT 1 FROM pg_stat_activity WHERE application_name = 'a host of a test'")
      )
      assert.strictEqual(rows.length, 1)
    })
  )

  it.scoped("prepares each connection, and closes one that cannot be prepared", () =>
    Effect.gen(function* () {
      const { query, url } = yield* makePostgres("")
      const applicationName = "a host with settings"
      const setup = ["SET app.most = 5", "SET app.kind = 'small; it is'"]
      const engine = yield* PostgresEngine.make({ url, applicationName, connections: 2, setup })
      const ask = {
        sql: "SELECT current_setting('app.most') AS a, current_setting('app.kind') AS b, pg_sleep(0.1)::text AS c",
        params: [],
        changes: "any" as const
      }
      const answers = yield* Effect.all(
        [1, 2].map(() => engine.run([[ask]], "power-loss", 5_000)),
        {
          concurrency: "unbounded"
        }
      )
      for (const [answer] of answers) {
        const rows = answer?._tag === "Done" ? answer.results[0]?.rows : answer
        assert.deepStrictEqual(rows, [{ a: "5", b: "small; it is", c: "" }])
      }
      const others = "SELECT 1 FROM pg_stat_activity WHERE application_name = $1"
      assert.lengthOf(yield* Effect.promise(() => query(others, [applicationName])), 2)
      const broken = { url, applicationName: "a host with mistakes", setup: ["SET no_such_setting = 1"] }
      const fault = yield* Effect.flip(PostgresEngine.make(broken))
      assert.deepInclude(fault, { reason: "Rejected", code: "42704" })
      // The server ends the session a moment after the driver has said goodbye.
      let left = 1
      while (left > 0) left = (yield* Effect.promise(() => query(others, [broken.applicationName]))).length
    })
  )

  it.scoped("gives up a connection that takes too long to open", () =>
    Effect.gen(function* () {
      const { url } = yield* makePostgres("")
      const proxy = yield* makeProxy(Number(new URL(url).port))
      proxy.mode = "stall"
      const fault = yield* Effect.flip(PostgresEngine.make({ url: through(url, proxy), connectTimeout: 100 }))
      assert.deepInclude(fault, { reason: "Lost", phase: "queued" })
    })
  )
})
