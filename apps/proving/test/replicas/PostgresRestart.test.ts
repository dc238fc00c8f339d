/**
 * Goal: three servers survive every way in which their PostgreSQL ends and comes back, without a restart of their own.
 * Method: a PostgreSQL of the test alone under load, ended by each of its signals, and connections that are cut.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schedule } from "effect"
import { inject } from "vitest"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Eventually from "../../src/drivers/Eventually.ts"
import * as LocalRedis from "../../src/drivers/LocalRedis.ts"
import * as OwnPostgres from "../../src/drivers/OwnPostgres.ts"
import * as Size from "../../src/drivers/Size.ts"
import * as Fleet from "./Fleet.ts"

const redisUrl = await LocalRedis.find()

/** Where no PostgreSQL can be started, `databaseServers.ts` says why. */
const isPossible = inject("postgresUrl") !== undefined && redisUrl !== undefined

const nameOf = (index: number) => `replica${index}`

const stand = Effect.gen(function* () {
  const postgres = yield* OwnPostgres.make
  const fleet = yield* Fleet.start({
    postgresUrl: postgres.url,
    redisUrl: redisUrl ?? "",
    environmentOf: (index, url) => ({ DATABASE_URL: `${url}&application_name=${nameOf(index)}` })
  })
  yield* Effect.sleep("2 seconds")
  return { postgres, fleet }
})

/** Connections that hold the lock of the database, one of each server. */
const holders = ({ database }: Fleet.Fleet) =>
  Effect.map(
    database.query(`SELECT count(*)::int AS "count" FROM pg_locks
      WHERE locktype = 'advisory' AND classid = 7041102 AND mode = 'ShareLock' AND granted`),
    ([row]) => row?.["count"]
  )

/** Every server said that it is not ready, and is ready again without a restart. */
const checkReadiness = ({ output, readiness, servers }: Fleet.Fleet) =>
  Effect.gen(function* () {
    for (const seen of readiness) {
      assert.isTrue(
        seen.some((answer) => answer.startsWith("503 ")),
        JSON.stringify(readiness)
      )
      yield* Eventually.until(
        Effect.sync(() => seen.at(-1)),
        (answer) => answer === "200",
        "60 seconds"
      )
      assert.notInclude(seen, "no answer", output())
    }
    for (const server of servers) assert.strictEqual(server.output().match(/ is ready at /g)?.length, 1)
  })

describe.skipIf(!isPossible)("three servers whose PostgreSQL", () => {
  for (const { awaySeconds, ending, name } of [
    { name: "is restarted", ending: "SIGINT", awaySeconds: 3 },
    { name: "leaves at once", ending: "SIGQUIT", awaySeconds: 5 },
    // Longer than a lease.
    { name: "is killed and stays away", ending: "SIGKILL", awaySeconds: 20 }
  ] as const) {
    it.scopedLive.skipIf(Size.isQuick && ending !== "SIGKILL")(
      `${name} lose nothing and go on by themselves`,
      () =>
        Effect.gen(function* () {
          const { fleet, postgres } = yield* stand
          // It takes no new connections first, as in an orderly restart.
          if (ending === "SIGINT") {
            yield* postgres.signal("SIGTERM")
            yield* Effect.sleep("3 seconds")
          }
          yield* postgres.end(ending)
          yield* Effect.sleep(`${awaySeconds} seconds`)
          yield* postgres.start
          yield* Effect.sleep("5 seconds")
          yield* checkReadiness(fleet)
          yield* Fleet.check(fleet)
          yield* Eventually.until(holders(fleet), (count) => count === 3, "30 seconds")
          // Later than a row is taken offline whose replica is gone.
          yield* Effect.sleep("20 seconds")
          for (const { line } of fleet.apps) assert.deepStrictEqual(Fleet.heardOffline(line, fleet.ids), [])
        }),
      300_000
    )
  }

  it.scopedLive.skipIf(Size.isQuick)(
    "ends all connections of one of them again and again keep the others out, and lose nothing",
    () =>
      Effect.gen(function* () {
        const { fleet } = yield* stand
        const { database, servers } = fleet
        const cut = database.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ?`,
          nameOf(0)
        )
        // A server of another installation, which would be the only one.
        const stranger = yield* BuiltServer.make(
          { HANDY_MASTER_SECRET: "another-installation", LOG_LEVEL: "warn" },
          { database }
        )
        const cutting = yield* Effect.forkScoped(Effect.repeat(cut, Schedule.spaced("50 millis")))
        for (let attempt = 0; attempt < 3; attempt++) {
          yield* stranger.launch
          assert.strictEqual((yield* stranger.ended).code, 6, stranger.output())
        }
        yield* Effect.sleep("5 seconds")
        yield* Fiber.interrupt(cutting)
        yield* Fleet.check(fleet)
        yield* Eventually.until(holders(fleet), (count) => count === 3, "30 seconds")
        for (const server of servers) assert.strictEqual(server.output().match(/ is ready at /g)?.length, 1)
      }),
    300_000
  )
})
