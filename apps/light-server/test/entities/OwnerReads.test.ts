import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Scope } from "effect"
import * as DatabaseReader from "../../src/database/DatabaseReader.ts"
import * as OwnerReads from "../../src/entities/OwnerReads.ts"
import type { PresenceKind } from "../../src/entities/PresenceKey.ts"

const rowOf = (id: string) => ({ id, accountId: `account of ${id}`, isRevoked: 0, isArchived: 0 })

const idsIn = (sql: string, [param]: ReadonlyArray<unknown>): ReadonlyArray<string> =>
  sql.includes(" IN (SELECT") ? (JSON.parse(String(param)) as ReadonlyArray<string>) : [String(param)]

/** Reads that are answered once `answers` is open, with a row for each id unless `rowFor` says otherwise. */
const makeWorld = (rowFor: (id: string) => object | undefined = rowOf) =>
  Effect.gen(function* () {
    const answers = yield* Effect.makeLatch(true)
    const reads: Array<ReadonlyArray<string>> = []
    const reader = DatabaseReader.fromQuery((sql, params) =>
      Effect.suspend(() => {
        const ids = idsIn(sql, params)
        reads.push(ids)
        return Effect.as(
          answers.await,
          ids.map((id) => rowFor(id)).filter((row) => row !== undefined)
        )
      })
    )
    const ask = yield* OwnerReads.make.pipe(Effect.provideService(DatabaseReader.DatabaseReader, reader))
    /** Reads a row and returns its account, or `undefined` if there is no such row. */
    const accountOf = (id: string, kind: PresenceKind = "session") =>
      Effect.gen(function* () {
        const answer = yield* Deferred.make<OwnerReads.Found>()
        yield* ask(kind, id, (found) => Deferred.unsafeDone(answer, Exit.succeed(found)))
        const owner = yield* yield* Deferred.await(answer)
        return owner?.accountId
      })
    return { accountOf, answers, reads }
  })

const unbounded = { concurrency: "unbounded" } as const

const settle = Effect.yieldNow().pipe(Effect.repeatN(16))

const numbered = (count: number) => Array.from({ length: count }, (_, index) => `s${index}`)

describe("OwnerReads", () => {
  it.scoped(
    "reads with one statement what is asked for at once, and whatever comes while that runs with the next",
    () =>
      Effect.gen(function* () {
        const { accountOf, answers, reads } = yield* makeWorld((id) => (id === "s3" ? undefined : rowOf(id)))
        yield* answers.close
        const first = yield* Effect.fork(Effect.forEach(numbered(200), (id) => accountOf(id), unbounded))
        yield* settle
        const later = yield* Effect.fork(Effect.forEach(["t0", "t1", "t0"], (id) => accountOf(id), unbounded))
        yield* settle
        yield* answers.open
        const found = yield* first
        assert.deepStrictEqual(found.slice(0, 4), ["account of s0", "account of s1", "account of s2", undefined])
        assert.deepStrictEqual(yield* later, ["account of t0", "account of t1", "account of t0"])
        assert.deepStrictEqual(reads, [numbered(200), ["t0", "t1"]])
      })
  )

  it.scoped("reads no more rows with one statement than take the event loop a moment", () =>
    Effect.gen(function* () {
      const { accountOf, reads } = yield* makeWorld()
      assert.lengthOf(yield* Effect.forEach(numbered(1_100), (id) => accountOf(id), unbounded), 1_100)
      assert.isAtMost(Math.max(...reads.map(({ length }) => length)), 250)
      assert.strictEqual(new Set(reads.flat()).size, 1_100)
      assert.isBelow(reads.length, 10)
    })
  )

  it.scoped("does not make sessions wait for machines", () =>
    Effect.gen(function* () {
      const { accountOf, reads } = yield* makeWorld()
      yield* Effect.all([accountOf("x"), accountOf("x", "machine")], unbounded)
      assert.deepStrictEqual(reads, [["x"], ["x"]])
    })
  )

  it.scoped("reads alone what the JSON of a database may not hold, so that it fails alone", () =>
    Effect.gen(function* () {
      const odd = ["a\u0000b", "\ud800"] as const
      const { accountOf, reads } = yield* makeWorld()
      const ids = ["s0", odd[0], "s1", odd[1]]
      assert.deepStrictEqual(
        yield* Effect.forEach(ids, (id) => accountOf(id), unbounded),
        ids.map((id) => `account of ${id}`)
      )
      assert.deepStrictEqual(reads, [["s0", "s1"], [odd[0]], [odd[1]]])
    })
  )

  it.scoped("answers the others when one row cannot be understood", () =>
    Effect.gen(function* () {
      const { accountOf } = yield* makeWorld((id) => (id === "s1" ? { ...rowOf(id), accountId: 7 } : rowOf(id)))
      const exits = yield* Effect.forEach(numbered(4), (id) => Effect.exit(accountOf(id)), unbounded)
      assert.deepStrictEqual(exits.map(Exit.isSuccess), [true, false, true, true])
    })
  )

  it.scoped("fails all that one failed statement asked for, and reads on", () =>
    Effect.gen(function* () {
      let isAway = true
      const reader = DatabaseReader.fromQuery((sql, params) =>
        isAway
          ? Effect.fail(new DatabaseReader.ReadFailed({ code: "SQLITE_BUSY", detail: "test" }))
          : Effect.succeed(idsIn(sql, params).map(rowOf))
      )
      const ask = yield* OwnerReads.make.pipe(Effect.provideService(DatabaseReader.DatabaseReader, reader))
      const tags: Array<string> = []
      const askAll = Effect.forEach(numbered(3), (id) => ask("session", id, ({ _tag }) => tags.push(_tag)))
      yield* askAll
      yield* settle
      isAway = false
      yield* askAll
      yield* settle
      assert.deepStrictEqual(tags, [...Array(3).fill("Failure"), ...Array(3).fill("Success")])
    })
  )

  it.effect("lets nobody wait for what is not read any more", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { accountOf, answers } = yield* Scope.extend(makeWorld(), scope)
      yield* answers.close
      const reading = yield* Effect.fork(Effect.exit(accountOf("s0")))
      yield* settle
      const waiting = yield* Effect.fork(Effect.exit(accountOf("s1")))
      yield* settle
      yield* Scope.close(scope, Exit.void)
      const after = yield* Effect.exit(accountOf("s2"))
      for (const exit of [yield* reading, yield* waiting, after]) assert.isTrue(Exit.isInterrupted(exit))
    })
  )
})
