/** F33: fibers yield at unusual points. */
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import { Effect, Layer, Random } from "effect"
import path from "node:path"
import * as Lane from "presence-effect/writer/Lane"
import * as SqliteInProcess from "presence-effect/node/SqliteInProcess"
import * as SqliteWriter from "presence-effect/writer/SqliteWriter"
import * as Write from "presence-effect/writer/Write"
import * as TemporaryDirectory from "../../drivers/TemporaryDirectory.ts"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"

const fiberCount = 40

/** Every fiber inserts one row after the other; every fifth row fails, together with a second one. */
const rowsOf = (fiber: number, writesEach: number) =>
  Array.from({ length: writesEach }, (_, index) => ({ id: `${fiber}.${index}`, isBad: (fiber + index) % 5 === 0 }))

const insert = (id: string) => Write.statement("INSERT INTO Acked (id) VALUES (?)", [id])

/** Fails as a whole: there is no such table. */
const broken = (id: string) => Write.andThen(insert(id), Write.statement("INSERT INTO Nowhere (id) VALUES (?)", [id]))

interface Lost {
  readonly acknowledged: number
  readonly lost: number
  readonly phantoms: number
}

const compare = (acknowledged: ReadonlySet<string>, stored: ReadonlySet<string>): Lost => ({
  acknowledged: acknowledged.size,
  lost: [...acknowledged].filter((id) => !stored.has(id)).length,
  phantoms: [...stored].filter((id) => !acknowledged.has(id)).length
})

const withClient = <A, E>(
  filename: string,
  use: (client: SqliteClient.SqliteClient) => Effect.Effect<A, E>
): Effect.Effect<A, unknown> =>
  Effect.provide(Effect.flatMap(SqliteClient.SqliteClient, use), SqliteClient.layer({ filename }))

const prepare = Effect.gen(function* () {
  const filename = path.join(yield* TemporaryDirectory.make, "acked.sqlite")
  yield* withClient(filename, (sql) => sql`CREATE TABLE Acked (id TEXT PRIMARY KEY)`)
  return filename
})

const stored = (filename: string) =>
  withClient(filename, (sql) =>
    Effect.map(sql<{ readonly id: string }>`SELECT id FROM Acked`, (rows) => new Set(rows.map(({ id }) => id)))
  )

/** What was acknowledged by fibers that run side by side, a turn of the scheduler every so many operations. */
const run = (
  opsBeforeYield: number,
  writesEach: number,
  write: (id: string, isBad: boolean) => Effect.Effect<boolean>
) =>
  Effect.gen(function* () {
    const acknowledged = new Set<string>()
    yield* Effect.forEach(
      Array.from({ length: fiberCount }, (_, fiber) => fiber),
      (fiber) =>
        Effect.forEach(rowsOf(fiber, writesEach), ({ id, isBad }) =>
          Effect.map(write(id, isBad), (isAcknowledged) => isAcknowledged && acknowledged.add(id))
        ),
      { concurrency: "unbounded", discard: true }
    ).pipe(Effect.withMaxOpsBeforeYield(opsBeforeYield))
    return acknowledged
  })

/** Through the writer. */
const ours = (opsBeforeYield: number) =>
  Effect.gen(function* () {
    const filename = yield* prepare
    const acknowledged = yield* Effect.gen(function* () {
      const writer = yield* SqliteWriter.SqliteWriter
      return yield* run(opsBeforeYield, 20, (id, isBad) =>
        Effect.isSuccess(writer.write(Lane.control, isBad ? broken(id) : insert(id)))
      )
    }).pipe(Effect.provide(Layer.provide(SqliteWriter.layer(), SqliteInProcess.layer({ filename }))))
    return compare(acknowledged, yield* stored(filename))
  }).pipe(Effect.scoped)

/** The control group: the stock client, statements beside transactions that fail. */
const theirs = (opsBeforeYield: number) =>
  Effect.gen(function* () {
    const filename = yield* prepare
    const acknowledged = yield* withClient(filename, (sql) =>
      run(opsBeforeYield, 20, (id, isBad) => {
        const one = sql`INSERT INTO Acked (id) VALUES (${id})`
        return Effect.isSuccess(isBad ? sql.withTransaction(Effect.zipRight(one, Effect.fail("undone"))) : one)
      })
    )
    return compare(acknowledged, yield* stored(filename))
  }).pipe(Effect.scoped)

export const F33Interleavings: Scenario = {
  id: "F33",
  title: "fibers are interrupted at every few operations",
  injected: "the writer in this process, 40 fibers, a turn of the scheduler every 13 to 200 operations",
  promises: ["P1"],
  needs: [],
  isQuick: true,
  within: "90 seconds",
  withinLong: "20 minutes",
  run: ({ isLong, seed }) =>
    Effect.gen(function* () {
      const some = yield* Effect.replicateEffect(Random.nextIntBetween(30, 201), 2)
      const all = Array.from({ length: 188 }, (_, index) => index + 13)
      const settings = isLong ? all : [13, 29, ...some]
      const results = yield* Effect.forEach(settings, ours)
      const control = yield* Effect.forEach([20, 29, 64], theirs)
      const sum = (of: ReadonlyArray<Lost>, count: (lost: Lost) => number) =>
        of.reduce((total, each) => total + count(each), 0)
      return [
        Observe.figure("operations before a turn", settings.length > 10 ? "13 to 200" : settings.join(", ")),
        Observe.atLeast(
          "acknowledged writes",
          sum(results, (each) => each.acknowledged),
          settings.length * fiberCount * 10
        ),
        Observe.equal(
          "of these not in the file",
          sum(results, (each) => each.lost),
          0
        ),
        Observe.equal(
          "refused, and in the file",
          sum(results, (each) => each.phantoms),
          0
        ),
        Observe.atLeast(
          "lost by a client without an owner of the connection (control group)",
          sum(control, (each) => each.lost),
          1
        )
      ]
    }).pipe(Effect.withRandom(Random.make(seed)))
}
