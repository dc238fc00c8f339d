import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as MysqlReader from "../../src/mysql/MysqlReader.ts"
import { describeMysql, makeMysql } from "../support/mysqlWorld.ts"
import { makeProxy, through } from "../support/tcpProxy.ts"

describeMysql("MysqlReader", () => {
  it.scoped("reads rows, and cannot write", () =>
    Effect.gen(function* () {
      const { url } = yield* makeMysql("CREATE TABLE t (id INTEGER)")
      const reader = yield* MysqlReader.make({ url, connections: 2 })
      const read = reader.query("SELECT CAST(? AS SIGNED) AS one", [1])
      assert.deepStrictEqual(
        yield* Effect.all(
          Array.from({ length: 6 }, () => read),
          { concurrency: "unbounded" }
        ),
        Array.from({ length: 6 }, () => [{ one: 1 }])
      )
      assert.deepInclude(yield* Effect.flip(reader.query("INSERT INTO t VALUES (2)", [])), { reason: "Readonly" })
      assert.deepInclude(yield* Effect.flip(reader.query("SELECT nonsense", [])), { reason: "Rejected" })
    })
  )

  it.scoped("ends a read that takes too long, and goes on", () =>
    Effect.gen(function* () {
      const { url } = yield* makeMysql("CREATE TABLE t (id INTEGER)")
      const reader = yield* MysqlReader.make({ url, connections: 1, timeout: 100 })
      const fault = yield* Effect.flip(reader.query("SELECT SLEEP(60)", []))
      assert.deepInclude(fault, { reason: "Lost" })
      assert.deepStrictEqual(yield* reader.query("SELECT CAST(? AS SIGNED) AS one", [1]), [{ one: 1 }])
    })
  )

  it.scoped("fails while the server is away, and reads again when it is back", () =>
    Effect.gen(function* () {
      const { url } = yield* makeMysql("CREATE TABLE t (id INTEGER)")
      const proxy = yield* makeProxy(Number(new URL(url).port))
      const reader = yield* MysqlReader.make({ url: through(url, proxy), connections: 1 })
      yield* Effect.promise(proxy.goAway)
      assert.deepInclude(yield* Effect.flip(reader.query("SELECT CAST(? AS SIGNED) AS one", [1])), { reason: "Lost" })
      yield* Effect.promise(proxy.comeBack)
      assert.deepStrictEqual(yield* reader.query("SELECT CAST(? AS SIGNED) AS one", [1]), [{ one: 1 }])
    })
  )
})
