/** The database server and the Redis of a question: those of the loopback interface, or others for this question. */
import { Effect, type Scope } from "effect"
import * as PostgresServer from "contention-lab/postgres/PostgresServer"
import * as LocalRedis from "../drivers/LocalRedis.ts"
import * as OwnRedis from "../drivers/OwnRedis.ts"

/** Apart from what else uses the same Redis. */
const redisDatabase = 15

const postgres: Effect.Effect<string, string, Scope.Scope> = Effect.suspend(() => {
  const url = process.env["BENCH_POSTGRES_URL"]
  return PostgresServer.open({ which: url === undefined ? "found" : { url }, disk: "real" })
}).pipe(
  Effect.map(({ url }) => url),
  Effect.mapError(({ detail }) => `no PostgreSQL: ${detail}`)
)

const ownRedis: Effect.Effect<string, string, Scope.Scope> = Effect.suspend(() =>
  OwnRedis.isInstalled()
    ? Effect.map(OwnRedis.make(), ({ url }) => url)
    : Effect.fail("no Redis answers at 127.0.0.1:6379, and there is no redis-server")
)

const redis = Effect.flatMap(
  Effect.promise(() => LocalRedis.find()),
  (found) => (found === undefined ? ownRedis : Effect.succeed(found))
).pipe(Effect.map((url) => `${url}/${redisDatabase}`))

/** A question without its services is skipped, and says so. */
const unlessMissing = (id: string, program: Effect.Effect<void, string, Scope.Scope>): Promise<void> =>
  program.pipe(
    Effect.catchAll((lack) => Effect.sync(() => console.error(`${id} is skipped: ${lack}`))),
    Effect.scoped,
    Effect.runPromise
  )

export const withPostgres = (
  id: string,
  body: (postgresUrl: string) => Effect.Effect<void, never, Scope.Scope>
): Promise<void> => unlessMissing(id, Effect.flatMap(postgres, body))

export interface Services {
  readonly postgresUrl: string
  readonly redisUrl: string
}

export const withBoth = (
  id: string,
  body: (services: Services) => Effect.Effect<void, never, Scope.Scope>
): Promise<void> => unlessMissing(id, Effect.flatMap(Effect.all({ postgresUrl: postgres, redisUrl: redis }), body))
