import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as MysqlEngine from "../../src/mysql/MysqlEngine.ts"
import { describeMysql, makeMysql } from "../support/mysqlWorld.ts"
import { makeProxy, through } from "../support/tcpProxy.ts"

describeMysql("MysqlOptions", () => {
  it.scoped("has four connections unless told otherwise, and two at least", () =>
    Effect.gen(function* () {
      const { url } = yield* makeMysql("SELECT 1")
      assert.strictEqual((yield* MysqlEngine.make({ url })).permits, 4)
      assert.strictEqual((yield* MysqlEngine.make({ url, connections: 1 })).permits, 2)
    })
  )

  it.scoped("gives up a connection that takes too long to open", () =>
    Effect.gen(function* () {
      const { url } = yield* makeMysql("SELECT 1")
      const proxy = yield* makeProxy(Number(new URL(url).port))
      proxy.mode = "stall"
      const fault = yield* Effect.flip(MysqlEngine.make({ url: through(url, proxy), connectTimeout: 100 }))
      assert.deepInclude(fault, { reason: "Lost", phase: "queued" })
    })
  )
})
