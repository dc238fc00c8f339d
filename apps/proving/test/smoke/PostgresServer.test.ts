/**
 * Goal: the built server serves from PostgreSQL, migrates once, and finds all again after a restart; a server that
 * is not there is named without the password.
 * Method: one life of the bundle as in `BuiltServer.test.ts`. The whole contract belongs to `npm run prove`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { inject } from "vitest"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as ServerDatabase from "../../src/drivers/ServerDatabase.ts"

const url = inject("postgresUrl")

describe.skipIf(url === undefined)("the built server on PostgreSQL", () => {
  it.scopedLive(
    "stores what it is sent, ends with 0 on a signal, and has it after a restart",
    () =>
      Effect.gen(function* () {
        const database = yield* ServerDatabase.ofPostgres(url ?? "")
        const server = yield* BuiltServer.start({}, { database })
        const account = Client.make()
        const device = yield* Device.login(server.url, account)
        const registered = yield* device.post("/v1/machines", { id: "m1", metadata: "sealed" })
        assert.strictEqual(registered.status, 200, registered.text)
        const sid = yield* Device.openSession(device, "tag")
        const agent = yield* device.connect({ clientType: "session-scoped", sessionId: sid })
        const answer = yield* agent.ask("message", { sid, message: "sealed", localId: "l1" })
        assert.strictEqual(answer.ok, true, JSON.stringify(answer))
        const ready = yield* device.get("/readyz")
        assert.strictEqual(ready.status, 200, ready.text)

        assert.strictEqual((yield* server.end("SIGTERM")).code, 0, server.output())
        // The last flush has brought the session to the database.
        const [row] = yield* database.query(`SELECT "seq", "active" FROM "Session" WHERE "id" = ?`, sid)
        assert.deepInclude(row, { seq: 1 })
        yield* server.start
        const messages = yield* device.get(`/v1/sessions/${sid}/messages`)
        assert.deepStrictEqual(
          messages.body["messages"].map(({ localId }: { readonly localId: string }) => localId),
          ["l1"]
        )
        const twice = yield* database.query(
          `SELECT "migration_name" FROM "_prisma_migrations" GROUP BY 1 HAVING count(*) > 1`
        )
        assert.deepStrictEqual(twice, [])
        assert.strictEqual((yield* server.end("SIGTERM")).code, 0, server.output())
      }),
    120_000
  )

  it.scopedLive(
    "ends with a message that names the place, and not the password, when the server is not there",
    () =>
      Effect.gen(function* () {
        const port = yield* BuiltServer.freePort
        const address = `postgres://me:canary@127.0.0.1:${port}/light`
        const server = yield* BuiltServer.make({ DATABASE_URL: address })
        yield* server.launch
        const { code } = yield* server.ended
        assert.strictEqual(code, 75, server.output())
        assert.include(server.output(), `postgres://127.0.0.1:${port}/light cannot be reached`)
        assert.notInclude(server.output(), "canary")
      }),
    120_000
  )
})
