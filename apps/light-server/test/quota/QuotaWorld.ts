/** A file and a PostgreSQL database with the same face, for tests of the quota that run on both. */
import { describe } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import type { Writer } from "presence-effect/writer/Writer"
import type { SqlValue } from "presence-effect/writer/Write"
import type { DatabaseReader } from "../../src/database/DatabaseReader.ts"
import { postgres } from "../../src/database/PostgresDialect.ts"
import type { Limits } from "../../src/quota/QuotaKnobs.ts"
import * as QuotaTriggers from "../../src/quota/QuotaTriggers.ts"
import * as FileDatabase from "../support/FileDatabase.ts"
import * as PostgresWorld from "../support/PostgresWorld.ts"

export class QuotaWorld extends Context.Tag("test/QuotaWorld")<
  QuotaWorld,
  {
    /** One statement with `?`, in a connection whose writes nothing counts. */
    readonly query: (
      sql: string,
      ...params: ReadonlyArray<SqlValue>
    ) => Effect.Effect<ReadonlyArray<Record<string, any>>>
    /** The writer and the reader of one more server. */
    readonly server: (limits?: Limits) => Layer.Layer<Writer | DatabaseReader>
  }
>() {}

/** A database that tests of the quota run on. */
export interface Kind {
  readonly name: string
  readonly describe: (name: string, body: () => void) => void
  readonly world: Layer.Layer<QuotaWorld>
  /** Writes of a random sequence. */
  readonly sequenceLength: number
}

const file: Kind = {
  name: "a file",
  sequenceLength: 300,
  describe: (name, body) => void describe(name, body),
  world: Layer.effect(
    QuotaWorld,
    Effect.map(FileDatabase.FileDatabase, ({ filename, sqlite }) =>
      QuotaWorld.of({
        query: (sql, ...params) =>
          Effect.sync(() => {
            const statement = sqlite.prepare(sql)
            if (statement.reader) return statement.all(...params) as ReadonlyArray<Record<string, any>>
            statement.run(...params)
            return []
          }),
        server: (limits) => Layer.orDie(FileDatabase.openedLayer(filename, limits))
      })
    )
  ).pipe(Layer.provide(FileDatabase.migrated), Layer.orDie)
}

const server: Kind = {
  name: "PostgreSQL",
  sequenceLength: 120,
  describe: PostgresWorld.describePostgres,
  world: Layer.effect(
    QuotaWorld,
    Effect.gen(function* () {
      const { address, query } = yield* PostgresWorld.PostgresWorld
      yield* query(QuotaTriggers.countsNothing("SESSION"))
      return QuotaWorld.of({
        query: (sql, ...params) => query(postgres.text(sql), params),
        server: (limits) => Layer.orDie(PostgresWorld.openedLayer(address, { limits }))
      })
    })
  ).pipe(Layer.provide(PostgresWorld.migrated))
}

export const kinds: ReadonlyArray<Kind> = [file, server]

/** A database with one server. */
export const layerOf = ({ world }: Kind, limits?: Limits): Layer.Layer<QuotaWorld | Writer | DatabaseReader> =>
  Layer.unwrapEffect(Effect.map(QuotaWorld, ({ server }) => server(limits))).pipe(Layer.provideMerge(world))

/** Account `a1` with the session `s1`, and `a2` with `s2`, from before the quota. */
export const addTwoSessions = Effect.gen(function* () {
  const { query } = yield* QuotaWorld
  for (const number of [1, 2]) {
    yield* query(
      `INSERT INTO "Account" ("id", "publicKey", "createdAt", "updatedAt") VALUES (?, ?, 1, 1)`,
      `a${number}`,
      `key of a${number}`
    )
    yield* query(
      `INSERT INTO "Session" ("id", "tag", "accountId", "metadata", "lastActiveAt", "createdAt", "updatedAt")
       VALUES (?, ?, ?, 'sealed', 5, 5, 5)`,
      `s${number}`,
      `s${number}`,
      `a${number}`
    )
  }
})

/** Messages 1 to `count` of a session, as if they had been sent. */
export const addMessages = (sessionId: string, count: number) =>
  Effect.gen(function* () {
    const { query } = yield* QuotaWorld
    yield* query(
      `WITH RECURSIVE number AS (SELECT 1 AS "seq" UNION ALL SELECT "seq" + 1 FROM number WHERE "seq" < ${count})
       INSERT INTO "SessionMessage" ("id", "sessionId", "localId", "seq", "content", "createdAt", "updatedAt")
       SELECT '${sessionId}-m' || "seq", '${sessionId}', 'l' || "seq", "seq", '{"t":"encrypted","c":"x"}', "seq", "seq"
       FROM number`
    )
    yield* query(`UPDATE "Session" SET "seq" = ${count} WHERE "id" = ?`, sessionId)
  })
