/** A schema of a PostgreSQL server with the tables of the migrations, and the reader and the writer of the server. */
import { describe } from "@effect/vitest"
import { Context, Effect, Either, Layer, Redacted, type Scope } from "effect"
import { Client } from "pg"
import * as PostgresEngine from "presence-effect/postgres/PostgresEngine"
import * as WriterPolicy from "presence-effect/writer/WriterPolicy"
import type { Writer } from "presence-effect/writer/Writer"
import { inject } from "vitest"
import { DatabaseReader } from "../../src/database/DatabaseReader.ts"
import * as PostgresAddress from "../../src/PostgresAddress.ts"
import * as PostgresMigrator from "../../src/postgres/PostgresMigrator.ts"
import * as PostgresReads from "../../src/postgres/PostgresReads.ts"
import * as PostgresWriter from "../../src/postgres/PostgresWriter.ts"

declare module "vitest" {
  export interface ProvidedContext {
    /** `undefined`: no server could be started or found. The output says why. */
    readonly postgresUrl: string | undefined
  }
}

const serverUrl = inject("postgresUrl")

/** A suite that is skipped, visibly, where there is no PostgreSQL. */
export const describePostgres = (name: string, body: () => void): void => {
  describe.skipIf(serverUrl === undefined)(name, body)
}

export class PostgresWorld extends Context.Tag("test/PostgresWorld")<
  PostgresWorld,
  {
    readonly schema: string
    readonly address: PostgresAddress.PostgresAddress
    /** With the placeholders of PostgreSQL. */
    readonly query: (sql: string, params?: ReadonlyArray<unknown>) => Effect.Effect<ReadonlyArray<Record<string, any>>>
    /** Another connection. */
    readonly connect: Effect.Effect<Client, never, Scope.Scope>
  }
>() {}

let count = 0

export const addressOf = (url: string): PostgresAddress.PostgresAddress => Either.getOrThrow(PostgresAddress.parse(url))

/** The address of the server, as another user or of another database. */
export const serverAddress = (change: (url: URL) => void): PostgresAddress.PostgresAddress => {
  const url = new URL(serverUrl ?? "postgres://127.0.0.1/none")
  change(url)
  return addressOf(url.href)
}

const connect = (address: PostgresAddress.PostgresAddress) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const client = new Client({ connectionString: Redacted.value(address.url) })
      client.on("error", () => undefined)
      await client.connect()
      return client
    }),
    (client) => Effect.promise(() => client.end().catch(() => undefined))
  )

/** An empty schema. */
export const empty: Layer.Layer<PostgresWorld> = Layer.scoped(
  PostgresWorld,
  Effect.gen(function* () {
    const schema = `light_${process.pid}_${++count}`
    const address = addressOf(`${serverUrl}?options=-csearch_path%3D${schema}`)
    const client = yield* connect(address)
    yield* Effect.acquireRelease(
      Effect.promise(() => client.query(`CREATE SCHEMA ${schema}`)),
      () => Effect.promise(() => client.query(`DROP SCHEMA ${schema} CASCADE`))
    )
    return PostgresWorld.of({
      schema,
      address,
      query: (sql, params = []) => Effect.promise(async () => (await client.query(sql, [...params])).rows),
      connect: connect(address)
    })
  })
)

const opened = Layer.unwrapEffect(
  Effect.map(PostgresWorld, ({ address }) => {
    const engine = PostgresEngine.layer({ url: Redacted.value(address.url), connections: 4 })
    return Layer.merge(
      PostgresWriter.layer(WriterPolicy.defaults).pipe(Layer.provide(engine)),
      Layer.scoped(DatabaseReader, PostgresReads.make({ address, connections: 4 }))
    ).pipe(Layer.provide(Layer.effectDiscard(PostgresMigrator.migrate(address, { isAllowed: true }))))
  })
)

/** With the tables of the server. */
export const layer: Layer.Layer<PostgresWorld | Writer | DatabaseReader> = Layer.orDie(
  Layer.provideMerge(opened, empty)
)

/** Account `a1` with the session `s1`, and `a2` with `s2`. */
export const addTwoSessions = Effect.gen(function* () {
  const { query } = yield* PostgresWorld
  for (const number of [1, 2]) {
    yield* query(`INSERT INTO "Account" ("id", "publicKey", "createdAt", "updatedAt") VALUES ($1, $2, 1, 1)`, [
      `a${number}`,
      `key of a${number}`
    ])
    yield* query(
      `INSERT INTO "Session" ("id", "tag", "accountId", "metadata", "lastActiveAt", "createdAt", "updatedAt")
       VALUES ($1, $1, $2, 'sealed', 5, 5, 5)`,
      [`s${number}`, `a${number}`]
    )
  }
})
