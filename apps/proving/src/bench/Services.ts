/** The database server and the Redis of a question: those of the loopback interface, or others for this question. */
import { Effect, type Scope } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as PostgresServer from "contention-lab/postgres/PostgresServer"
import { freePort } from "../drivers/BuiltServer.ts"
import * as LocalRedis from "../drivers/LocalRedis.ts"

/** Apart from what else uses the same Redis. */
const redisDatabase = 15

const postgres: Effect.Effect<string, string, Scope.Scope> = Effect.suspend(() => {
  const url = process.env["BENCH_POSTGRES_URL"]
  return PostgresServer.open({ which: url === undefined ? "found" : { url }, disk: "real" })
}).pipe(
  Effect.map(({ url }) => url),
  Effect.mapError(({ detail }) => `no PostgreSQL: ${detail}`)
)

/** Nothing is kept, and nothing is left. */
const ownRedis: Effect.Effect<string, string, Scope.Scope> = Effect.gen(function* () {
  const port = yield* freePort
  const options = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => spawn("redis-server", options, { stdio: ["ignore", "pipe", "ignore"] })),
    (child) =>
      Effect.promise(async () => {
        if (child.pid === undefined || child.exitCode !== null) return
        child.kill("SIGKILL")
        await once(child, "exit")
      })
  )
  return yield* Effect.async<string, string>((resume) => {
    child.once("error", () => resume(Effect.fail("no Redis answers at 127.0.0.1:6379, and there is no redis-server")))
    child.once("exit", (code) => resume(Effect.fail(`redis-server ended with ${code}`)))
    child.stdout.on("data", (data) => {
      if (String(data).includes("eady to accept connections")) resume(Effect.succeed(`redis://127.0.0.1:${port}`))
    })
  })
})

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
