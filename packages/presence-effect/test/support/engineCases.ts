/** What an engine of a database server does, in the statements of any: the placeholders alone differ. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { describe } from "vitest"
import { constraintOf } from "../../src/writer/internal/constraintCode.ts"
import type { EngineFault, EngineService, WriteAnswer } from "../../src/writer/Engine.ts"
import type { Changes, SqlValue, Statement } from "../../src/writer/Write.ts"
import { makeProxy, through } from "./tcpProxy.ts"

/** A server with an empty schema, in which `parent` and `child` are, and the means to look behind the engine. */
export interface ServerWorld {
  readonly url: string
  readonly port: number
  readonly query: (sql: string) => Promise<ReadonlyArray<Record<string, unknown>>>
  /** Runs the statements one by one on a connection of their own, which stays open. */
  readonly session: () => Promise<(sql: string) => Promise<unknown>>
  /** Ends the connections of everybody else in this schema. */
  readonly terminate: () => Promise<void>
  /** Resolves once a statement waits for a lock. */
  readonly awaitWaiting: () => Promise<void>
}

export interface Server {
  readonly name: string
  readonly make: Effect.Effect<ServerWorld, never, Scope.Scope>
  readonly open: (url: string, connections?: number) => Effect.Effect<EngineService, EngineFault, Scope.Scope>
  /** The text of a statement with `?` as placeholders, as the server wants it. */
  readonly text: (sql: string) => string
  readonly hold: string
}

export const schema = `
  CREATE TABLE parent (id INTEGER PRIMARY KEY, name VARCHAR(50) UNIQUE NOT NULL);
  CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER NOT NULL, CHECK (id > 0),
    FOREIGN KEY (parent) REFERENCES parent (id));`

const limit = 10_000

const reasonsOf = (answers: ReadonlyArray<WriteAnswer>): ReadonlyArray<string> =>
  answers.map((answer) => (answer._tag === "Done" ? "Done" : answer.fault.reason))

const makeCases = ({ hold, make, name, open, text }: Server) => {
  const statement = (sql: string, params: ReadonlyArray<SqlValue> = [], changes: Changes = "any"): Statement => ({
    sql: text(sql),
    params,
    changes
  })
  const insert = (id: number, name = `name ${id}`) => statement("INSERT INTO parent VALUES (?, ?)", [id, name], 1)
  const rename = (id: number, name: string) => statement("UPDATE parent SET name = ? WHERE id = ?", [name, id], "some")
  const run = (engine: EngineService, ...group: ReadonlyArray<ReadonlyArray<Statement>>) =>
    engine.run(group, "power-loss", limit)
  const ids = ({ query }: ServerWorld) =>
    Effect.promise(async () => (await query("SELECT id FROM parent ORDER BY id")).map(({ id }) => id))

  return { hold, ids, insert, make, name, open, rename, run, statement }
}

const groupCases = (server: Server): void => {
  const { ids, insert, make, open, rename, run, statement } = makeCases(server)

  it.scoped("commits the statements of a write together and returns rows and changes", () =>
    Effect.gen(function* () {
      const world = yield* make
      const engine = yield* open(world.url)
      const answers = yield* run(engine, [
        insert(1),
        rename(1, "b"),
        statement("SELECT id, name, 9007199254740993 AS large FROM parent WHERE id = ?", [1])
      ])
      assert.deepStrictEqual(answers, [
        {
          _tag: "Done",
          results: [
            { rows: [], changes: 1 },
            { rows: [], changes: 1 },
            { rows: [{ id: 1, name: "b", large: 9_007_199_254_740_993n }], changes: 0 }
          ]
        }
      ])
      assert.deepStrictEqual(yield* ids(world), [1])
    })
  )

  it.scoped("rolls the whole write back when a statement changes another number of rows than demanded", () =>
    Effect.gen(function* () {
      const world = yield* make
      const engine = yield* open(world.url)
      const [answer] = yield* run(engine, [insert(1), rename(9, "x")])
      const conflict = answer?._tag === "Failed" ? answer.fault.conflict : undefined
      assert.deepStrictEqual(conflict, { statement: 1, expected: "some", changed: 0 })
      assert.deepStrictEqual(yield* ids(world), [])
      assert.deepStrictEqual(reasonsOf(yield* run(engine, [insert(1)])), ["Done"])
    })
  )

  it.scoped("puts a group into one commit and lets one that fails take no other with it", () =>
    Effect.gen(function* () {
      const world = yield* make
      const engine = yield* open(world.url)
      const answers = yield* run(
        engine,
        [insert(1)],
        [insert(2), insert(3, "name 1")],
        [statement("INSERT INTO nowhere VALUES (1)")],
        [],
        [insert(4), statement("DELETE FROM parent WHERE id = 77", [], 1)],
        [statement("/* so */ COMMIT")],
        [rename(1, "one")],
        [insert(5)]
      )
      const expected = ["Done", "Rejected", "Rejected", "Done", "Conflict", "Rejected", "Done", "Done"]
      assert.deepStrictEqual(reasonsOf(answers), expected)
      assert.deepStrictEqual(yield* ids(world), [1, 5])
      assert.deepStrictEqual(reasonsOf(yield* run(engine, [insert(1)], [insert(5)])), ["Rejected", "Rejected"])
    })
  )

  it.scoped("says which kind of constraint refuses a write", () =>
    Effect.gen(function* () {
      const world = yield* make
      const engine = yield* open(world.url)
      yield* run(engine, [insert(1)])
      const answers = yield* run(
        engine,
        [insert(2, "name 1")],
        [insert(1, "other")],
        [statement("INSERT INTO child VALUES (1, 99)")],
        [statement("INSERT INTO parent VALUES (3, NULL)")],
        [statement("INSERT INTO child VALUES (-1, 1)")],
        [statement("INSERT INTO parent VALUES (4, 'no number', 5)")]
      )
      const kinds = answers.map((answer) => (answer._tag === "Done" ? "Done" : constraintOf(answer.fault.code)))
      assert.deepStrictEqual(kinds, ["unique", "unique", "foreign-key", "not-null", "check", undefined])
    })
  )

  it.scoped("takes one statement per text, whatever its parameters are", () =>
    Effect.gen(function* () {
      const world = yield* make
      const engine = yield* open(world.url)
      const smuggled = statement("INSERT INTO parent VALUES (1, 'a'); COMMIT; INSERT INTO parent VALUES (2, 'b')")
      assert.deepStrictEqual(reasonsOf(yield* run(engine, [smuggled])), ["Rejected"])
      assert.deepStrictEqual(reasonsOf(yield* run(engine, [insert(3, "'); DROP TABLE parent; --")])), ["Done"])
      assert.deepStrictEqual(yield* ids(world), [3])
    })
  )

  it.scoped("fails every call after it was stopped, and says why", () =>
    Effect.gen(function* () {
      const world = yield* make
      const engine = yield* open(world.url)
      const fault = yield* Effect.flip(run(engine, [statement("SELECT 1")], [statement("nonsense")])).pipe(
        Effect.orElseSucceed(() => undefined)
      )
      assert.isUndefined(fault, "two answers")
      const stopped = yield* Effect.fork(Effect.flip(engine.untilStopped))
      const end = yield* Effect.flip(open("postgres://127.0.0.1:1/nowhere")).pipe(Effect.orElse(() => Effect.die("?")))
      yield* engine.stop(end)
      assert.deepInclude(yield* Effect.flip(run(engine, [insert(1)])), { code: end.code, isFinal: true })
      assert.strictEqual((yield* Fiber.join(stopped)).code, end.code)
      assert.deepStrictEqual(yield* ids(world), [])
    })
  )
}

const lockCases = (server: Server): void => {
  const { hold, insert, make, open, rename, run } = makeCases(server)

  it.scoped("is busy with a row that another transaction holds, and works again after", () =>
    Effect.gen(function* () {
      const world = yield* make
      const engine = yield* open(world.url)
      yield* run(engine, [insert(1)], [insert(2)])
      const foreign = yield* Effect.promise(world.session)
      yield* Effect.promise(() => foreign("BEGIN"))
      yield* Effect.promise(() => foreign(hold))
      const outcome = Either.match(yield* Effect.either(engine.run([[rename(1, "x")]], "power-loss", 1_250)), {
        onLeft: ({ reason }) => [reason],
        onRight: reasonsOf
      })
      assert.deepStrictEqual(outcome, ["Busy"])
      yield* Effect.promise(() => foreign("ROLLBACK"))
      assert.deepStrictEqual(reasonsOf(yield* run(engine, [rename(1, "x")])), ["Done"])
    })
  )

  it.scoped("loses nothing of a deadlock: one of the two is busy, and neither is half written", () =>
    Effect.gen(function* () {
      const world = yield* make
      const engine = yield* open(world.url)
      yield* run(engine, [insert(1)], [insert(2)])
      const foreign = yield* Effect.promise(world.session)
      yield* Effect.promise(() => foreign("BEGIN"))
      yield* Effect.promise(() => foreign("UPDATE parent SET name = 'foreign 2' WHERE id = 2"))
      // A server that ends the smaller of the two ends ours.
      for (let id = 101; id <= 120; id++) {
        yield* Effect.promise(() => foreign(`INSERT INTO parent VALUES (${id}, 'foreign ${id}')`))
      }
      const ours = yield* Effect.fork(Effect.either(run(engine, [rename(1, "ours 1")], [rename(2, "ours 2")])))
      yield* Effect.promise(world.awaitWaiting)
      const theirs = yield* Effect.promise(() =>
        foreign("UPDATE parent SET name = 'foreign 1' WHERE id = 1").then(
          () => foreign("COMMIT").then(() => true),
          () => foreign("ROLLBACK").then(() => false)
        )
      )
      // One server takes back the write, and another the whole transaction.
      const outcome = Either.match(yield* Fiber.join(ours), {
        onLeft: ({ reason }) => reason,
        onRight: (answers) => reasonsOf(answers).at(-1)
      })
      assert.strictEqual(outcome, theirs ? "Busy" : "Done")
      const rows = yield* Effect.promise(() => world.query("SELECT name FROM parent WHERE id < 100 ORDER BY id"))
      const who = theirs ? "foreign" : "ours"
      assert.deepStrictEqual(
        rows.map(({ name }) => name),
        [`${who} 1`, `${who} 2`]
      )
    })
  )
}

const lossCases = (server: Server): void => {
  const { ids, insert, make, open, rename, run, statement } = makeCases(server)

  it.scoped("has written nothing when its connection ends while a statement waits, and goes on with a new one", () =>
    Effect.gen(function* () {
      const world = yield* make
      const engine = yield* open(world.url)
      yield* run(engine, [insert(1)])
      const foreign = yield* Effect.promise(world.session)
      yield* Effect.promise(() => foreign("BEGIN"))
      yield* Effect.promise(() => foreign("UPDATE parent SET name = 'held' WHERE id = 1"))
      const lost = yield* Effect.fork(Effect.flip(run(engine, [insert(2), rename(1, "x")], [insert(3)])))
      yield* Effect.promise(world.awaitWaiting)
      yield* Effect.promise(world.terminate)
      assert.deepInclude(yield* Fiber.join(lost), { reason: "Lost", phase: "queued" })
      assert.deepStrictEqual(reasonsOf(yield* run(engine, [insert(4)])), ["Done"])
      assert.deepStrictEqual(yield* ids(world), [1, 4])
    })
  )

  it.scoped("does not know what became of a write whose commit was sent and not answered", () =>
    Effect.gen(function* () {
      const world = yield* make
      const proxy = yield* makeProxy(world.port)
      const engine = yield* open(through(world.url, proxy))
      proxy.mode = "cut"
      const before = yield* Effect.flip(run(engine, [insert(1)], [insert(2)]))
      assert.deepInclude(before, { reason: "Lost", phase: "commit" })
      proxy.mode = "deafen"
      const after = yield* Effect.flip(run(engine, [insert(3)]))
      assert.deepInclude(after, { reason: "Lost", phase: "commit" })
      proxy.mode = "pass"
      assert.deepStrictEqual(reasonsOf(yield* run(engine, [insert(4)])), ["Done"])
      assert.deepStrictEqual(yield* ids(world), [3, 4], "the first was not committed, the second was")
    })
  )

  it.scoped("has written nothing while the server is away, and goes on when it is back", () =>
    Effect.gen(function* () {
      const world = yield* make
      const proxy = yield* makeProxy(world.port)
      const engine = yield* open(through(world.url, proxy))
      assert.deepStrictEqual(reasonsOf(yield* run(engine, [insert(1)])), ["Done"])
      yield* Effect.promise(proxy.goAway)
      for (let round = 0; round < 3; round++) {
        assert.deepInclude(yield* Effect.flip(run(engine, [insert(2)])), { reason: "Lost", phase: "queued" })
      }
      yield* Effect.promise(proxy.comeBack)
      assert.deepStrictEqual(reasonsOf(yield* run(engine, [insert(3)])), ["Done"])
      assert.deepStrictEqual(yield* ids(world), [1, 3])
    })
  )

  it.scoped("cuts off a server that does not answer, so that its permit comes back", () =>
    Effect.gen(function* () {
      const world = yield* make
      const proxy = yield* makeProxy(world.port)
      const engine = yield* open(through(world.url, proxy))
      proxy.mode = "stall"
      const silent = yield* Effect.flip(engine.run([[insert(1)]], "power-loss", 50))
      assert.deepInclude(silent, { reason: "Lost", phase: "queued" })
      proxy.mode = "pass"
      assert.deepStrictEqual(reasonsOf(yield* run(engine, [insert(2)])), ["Done"])
      assert.deepStrictEqual(yield* ids(world), [2])
    })
  )

  it.scoped("says at the start that the server is not there, or has no such database", () =>
    Effect.gen(function* () {
      const world = yield* make
      const proxy = yield* makeProxy(world.port)
      const url = through(world.url, proxy)
      yield* Effect.promise(proxy.goAway)
      assert.deepInclude(yield* Effect.flip(open(url)), { reason: "Lost", phase: "queued" })
      const elsewhere = new URL(world.url)
      elsewhere.pathname = "/no_such_database"
      assert.deepInclude(yield* Effect.flip(open(elsewhere.href)), { reason: "Gone" })
    })
  )

  it.scoped("runs as many groups at once as it has connections, and opens none beyond", () =>
    Effect.gen(function* () {
      const world = yield* make
      const engine = yield* open(world.url, 3)
      assert.strictEqual(engine.permits, 3)
      for (let round = 0; round < 3; round++) {
        const group = (part: number) => run(engine, [insert(round * 3 + part)])
        yield* Effect.all([group(1), group(2), group(3)], { concurrency: "unbounded" })
      }
      assert.strictEqual((yield* ids(world)).length, 9)
      const [answer] = yield* run(engine, [statement("SELECT 1 AS one")])
      assert.strictEqual(answer?._tag, "Done")
    })
  )
}

/** The cases of one server. */
export const engineSuite = (server: Server): void => {
  describe(`an engine of ${server.name}`, () => groupCases(server))
  describe(`the locks of ${server.name}`, () => lockCases(server))
  describe(`a lost connection to ${server.name}`, () => lossCases(server))
}
