/**
 * Goal: one server alone, or several that know of each other, serve a PostgreSQL database; a connection that is lost
 * changes nothing about that.
 * Method: the lock on a real PostgreSQL; connections are ended from outside, and the watch runs on virtual time.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Either, Exit, Fiber, Option, Redacted, Scope, TestClock } from "effect"
import { Client } from "pg"
import { inject } from "vitest"
import type { PostgresAddress } from "../../src/PostgresAddress.ts"
import * as DatabaseLock from "../../src/postgres/DatabaseLock.ts"
import * as TcpProxy from "../support/TcpProxy.ts"

const server = inject("postgresUrl")

/** Of `pg_locks`. */
const isTheLock = "locktype = 'advisory' AND objid = (hashtext(current_schema())::bigint & 4294967295)::oid"

let count = 0

/** A schema of its own, and a connection beside those of the locks. */
const stand = Effect.gen(function* () {
  const schema = `lock_${process.pid}_${++count}`
  const url = `${server}?options=-csearch_path%3D${schema}`
  const client = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const client = new Client({ connectionString: url })
      await client.connect()
      await client.query(`CREATE SCHEMA ${schema}`)
      return client
    }),
    (client) =>
      Effect.promise(async () => {
        await client.query(`DROP SCHEMA ${schema} CASCADE`)
        await client.end()
      })
  )
  const address: PostgresAddress = { url: Redacted.make(url), place: `postgres://here/${schema}` }
  const proxy = yield* TcpProxy.make({ host: "127.0.0.1", port: Number(new URL(url).port) })
  const hold = (isShared: boolean) => DatabaseLock.hold({ address, isShared })
  /** The same through a proxy. */
  const holdThrough = (isShared: boolean) => {
    const through = new URL(url)
    through.host = `127.0.0.1:${proxy.port}`
    return DatabaseLock.hold({ address: { ...address, url: Redacted.make(through.href) }, isShared })
  }
  /** Ends every connection that holds a lock of this schema. */
  const cut = Effect.promise(() =>
    client.query(`SELECT pg_terminate_backend(pid, 2000) FROM pg_locks WHERE ${isTheLock} AND pid <> pg_backend_pid()`)
  )
  /** The processes that hold the lock. A second server that only looks would be in the way of the first one. */
  const pids = Effect.promise(async () => {
    const { rows } = await client.query(`SELECT pid FROM pg_locks WHERE ${isTheLock} AND granted`)
    return rows.map(({ pid }) => Number(pid))
  })
  const holders = Effect.map(pids, ({ length }) => length)
  return { cut, hold, holdThrough, holders, pids, proxy }
})

const refusal = <A, R>(hold: Effect.Effect<A, { readonly _tag: string; readonly message: string }, R>) =>
  Effect.map(Effect.either(hold), (result) => (Either.isLeft(result) ? result.left : undefined))

/** Until the answers of the database have come, which virtual time does not wait for. */
const settled = <A>(fiber: Fiber.RuntimeFiber<A, { readonly _tag: string }>) =>
  Effect.gen(function* () {
    for (let turn = 0; turn < 200; turn++) {
      const exit = yield* Fiber.poll(fiber)
      if (exit._tag === "Some") return exit.value
      yield* TestClock.adjust("5 seconds")
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 10)))
    }
    return undefined
  })

describe.skipIf(server === undefined)("DatabaseLock", () => {
  it.scoped("keeps a second server out of the database of one that is alone, and says what to do", () =>
    Effect.gen(function* () {
      const { hold } = yield* stand
      yield* hold(false)
      for (const isShared of [false, true]) {
        const failure = yield* refusal(Effect.scoped(hold(isShared)))
        assert.strictEqual(failure?._tag, "InstanceRunning")
        assert.match(
          failure?.message ?? "",
          /^postgres:\/\/here\/lock_\S+ is in use by a server on \S.*, connected since \d{4}-.*Z; set REDIS_URL/
        )
      }
    })
  )

  it.scoped("lets servers in that know of each other, and none that is alone", () =>
    Effect.gen(function* () {
      const { hold } = yield* stand
      yield* hold(true)
      yield* hold(true)
      assert.strictEqual((yield* refusal(Effect.scoped(hold(false))))?._tag, "InstanceRunning")
    })
  )

  it.scoped("lets the next server in when its scope closes", () =>
    Effect.gen(function* () {
      const { hold } = yield* stand
      yield* Effect.scoped(hold(false))
      yield* hold(false)
    })
  )

  it.scoped("takes the lock again at once when its connection is lost, without waiting for a check", () =>
    Effect.gen(function* () {
      const { cut, hold, holders } = yield* stand
      const watch = yield* Effect.fork((yield* hold(true)).untilTaken)
      yield* cut
      for (let turn = 0; turn < 500 && (yield* holders) === 0; turn++) {
        yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 10)))
      }
      assert.strictEqual(yield* holders, 1)
      yield* Fiber.interrupt(watch)
    })
  )

  it.scoped("gives up a connection that the network has dropped, and ends what PostgreSQL has left of it", () =>
    Effect.gen(function* () {
      const { hold, holdThrough, pids, proxy } = yield* stand
      const lock = yield* holdThrough(false)
      const [before] = yield* pids
      const watch = yield* Effect.fork(lock.untilTaken)
      proxy.strand()
      const isRetaken = Effect.map(pids, ([pid]) => pid !== undefined && pid !== before)
      for (let turn = 0; turn < 500 && !(yield* isRetaken); turn++) {
        yield* TestClock.adjust("1 second")
        yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 10)))
      }
      assert.isNull(
        yield* Fiber.poll(watch).pipe(Effect.map(Option.getOrNull)),
        "it did not take itself for another one"
      )
      assert.strictEqual((yield* refusal(Effect.scoped(hold(false))))?._tag, "InstanceRunning")
      assert.strictEqual(proxy.connectionCount(), 1)
      yield* Fiber.interrupt(watch)
    })
  )

  it.scoped("takes the lock again when its connection is lost", () =>
    Effect.gen(function* () {
      const { cut, hold, holders } = yield* stand
      const lock = yield* hold(false)
      assert.strictEqual(yield* holders, 1)
      yield* cut
      assert.strictEqual(yield* holders, 0)
      const watch = yield* Effect.fork(lock.untilTaken)
      for (let turn = 0; turn < 500 && (yield* holders) === 0; turn++) {
        yield* TestClock.adjust("5 seconds")
        yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 10)))
      }
      assert.strictEqual((yield* refusal(Effect.scoped(hold(false))))?._tag, "InstanceRunning")
      yield* Fiber.interrupt(watch)
    })
  )

  it.scoped("ends when another server has taken it meanwhile", () =>
    Effect.gen(function* () {
      const { cut, hold } = yield* stand
      const first = yield* hold(false)
      yield* cut
      const scope = yield* Scope.make()
      yield* Scope.extend(hold(false), scope)
      const exit = yield* settled(yield* Effect.fork(first.untilTaken))
      const failure = exit !== undefined && Exit.isFailure(exit) ? Cause.failureOption(exit.cause) : Option.none()
      assert.strictEqual(Option.getOrUndefined(failure)?._tag, "InstanceRunning")
      yield* Scope.close(scope, Exit.void)
    })
  )

  it.scoped("lets one server at a time do a work, and both do different ones", () =>
    Effect.gen(function* () {
      const { hold } = yield* stand
      const [one, other] = [yield* hold(true), yield* hold(true)]
      const during = yield* one.runner.attempt(
        "sweep",
        Effect.all([other.runner.attempt("sweep", Effect.succeed(1)), other.runner.attempt("prune", Effect.succeed(2))])
      )
      assert.deepStrictEqual(during, Option.some([Option.none(), Option.some(2)]))
      assert.deepStrictEqual(yield* other.runner.attempt("sweep", Effect.succeed(3)), Option.some(3))
    })
  )
})
