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
import * as Quota from "../../src/quota/Quota.ts"
import type { Limits } from "../../src/quota/QuotaKnobs.ts"
import * as QuotaTriggers from "../../src/quota/QuotaTriggers.ts"

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

const makeIn = (databaseUrl: string | undefined) =>
  Effect.gen(function* () {
    const schema = `light_${process.pid}_${++count}`
    const address = addressOf(`${databaseUrl}?options=-csearch_path%3D${schema}`)
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

/** An empty schema. */
export const empty: Layer.Layer<PostgresWorld> = Layer.scoped(
  PostgresWorld,
  Effect.suspend(() => makeIn(serverUrl))
)

/** The same in a database of its own, whose statistics are those of the test. */
const emptyDatabase: Layer.Layer<PostgresWorld> = Layer.scoped(
  PostgresWorld,
  Effect.gen(function* () {
    const name = `own_${process.pid}_${++count}`
    const client = yield* connect(addressOf(serverUrl ?? ""))
    yield* Effect.acquireRelease(
      Effect.promise(() => client.query(`CREATE DATABASE ${name} ENCODING 'UTF8' TEMPLATE template0`)),
      () => Effect.promise(() => client.query(`DROP DATABASE ${name} WITH (FORCE)`))
    )
    const url = new URL(serverUrl ?? "")
    url.pathname = `/${name}`
    return yield* makeIn(url.href)
  })
)

const migration = Layer.effectDiscard(
  Effect.flatMap(PostgresWorld, ({ address }) => PostgresMigrator.migrate(address, { isAllowed: true }))
)

/** With the tables of the server. */
export const migrated: Layer.Layer<PostgresWorld> = Layer.orDie(Layer.provideMerge(migration, empty))

export const migratedDatabase: Layer.Layer<PostgresWorld> = Layer.orDie(Layer.provideMerge(migration, emptyDatabase))

/** A slow box is not what these tests are about. */
const patient = WriterPolicy.defaults.lanes.reduce(
  (policy, { lane }) => WriterPolicy.withLane(policy, lane, { holdLimit: "20 seconds", deadline: "90 seconds" }),
  WriterPolicy.defaults
)

export interface ServerOptions {
  /** What an account may store. */
  readonly limits?: Limits | undefined
  /** Whether no other server uses the database. */
  readonly isAlone?: boolean
}

/** The writer and the reader of a server. */
export const openedLayer = (
  address: PostgresAddress.PostgresAddress,
  { isAlone = true, limits }: ServerOptions = {}
) => {
  const setup = QuotaTriggers.sessionSetup(limits, isAlone)
  const engine = PostgresEngine.layer({ url: Redacted.value(address.url), connections: 4, setup })
  return Quota.layer(limits, { isAlone }).pipe(
    Layer.provideMerge(PostgresWriter.layer(patient).pipe(Layer.provide(engine))),
    Layer.provideMerge(Layer.scoped(DatabaseReader, PostgresReads.make({ address, connections: 4 })))
  )
}

/** With one server. */
export const layer: Layer.Layer<PostgresWorld | Writer | DatabaseReader> = Layer.unwrapEffect(
  Effect.map(PostgresWorld, ({ address }) => openedLayer(address))
).pipe(Layer.provideMerge(migrated), Layer.orDie)

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
