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
