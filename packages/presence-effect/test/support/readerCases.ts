/** What the reader of a database server does: the texts of the server alone differ. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Duration from "effect/Duration"
import type * as Scope from "effect/Scope"
import type { PresenceReader } from "../../src/sqlite/SqlitePresenceStorage.ts"
import type { EngineFault } from "../../src/writer/Engine.ts"
import { makeProxy, through } from "./tcpProxy.ts"

interface Server {
  /** A server with this schema. */
  readonly make: (ddl: string) => Effect.Effect<{ readonly url: string }, never, Scope.Scope>
  readonly open: (options: {
    readonly url: string
    readonly connections: number
    readonly timeout?: Duration.DurationInput
  }) => Effect.Effect<PresenceReader["Type"], EngineFault, Scope.Scope>
  /** Selects its parameter, a whole number, as `one`. */
  readonly one: string
  /** Takes a minute. */
  readonly slow: string
  /** Why a read that takes too long fails. */
  readonly tooSlow: EngineFault["reason"]
}

const ddl = "CREATE TABLE t (id INTEGER)"

export const readerSuite = ({ make, one, open, slow, tooSlow }: Server): void => {
  it.scoped("reads rows, and cannot write", () =>
    Effect.gen(function* () {
      const { url } = yield* make(ddl)
      const reader = yield* open({ url, connections: 2 })
      const read = reader.query(one, [1])
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
      const { url } = yield* make(ddl)
      const reader = yield* open({ url, connections: 1, timeout: 100 })
      assert.deepInclude(yield* Effect.flip(reader.query(slow, [])), { reason: tooSlow })
      assert.deepStrictEqual(yield* reader.query(one, [1]), [{ one: 1 }])
    })
  )

  it.scoped("fails while the server is away, and reads again when it is back", () =>
    Effect.gen(function* () {
      const { url } = yield* make(ddl)
      const proxy = yield* makeProxy(Number(new URL(url).port))
      const reader = yield* open({ url: through(url, proxy), connections: 1 })
      yield* Effect.promise(proxy.goAway)
      assert.deepInclude(yield* Effect.flip(reader.query(one, [1])), { reason: "Lost" })
      yield* Effect.promise(proxy.comeBack)
      assert.deepStrictEqual(yield* reader.query(one, [1]), [{ one: 1 }])
    })
  )
}
