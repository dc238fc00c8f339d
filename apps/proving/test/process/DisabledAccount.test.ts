/**
 * Goal: an operator takes an account out of service and brings it back, and its clients lose nothing.
 * Method: the built server with real clients, and commands as processes beside it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as Eventually from "../../src/drivers/Eventually.ts"
import * as OperatorCommand from "../../src/drivers/OperatorCommand.ts"

const loggedIn = (server: BuiltServer.Server) =>
  Effect.gen(function* () {
    const device = yield* Device.login(server.url, Client.make())
    const { id } = (yield* device.get("/v1/account/profile")).body
    return { device, accountId: String(id) }
  })

const contents = (server: BuiltServer.Server) =>
  server.rows(`SELECT "localId" FROM "SessionMessage" ORDER BY "seq"`).map(({ localId }) => localId)

describe("a disabled account", () => {
  it.scopedLive(
    "is out of service over a restart, keeps its rows, and is back with all that its clients held",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start({
          HAPPIER_PRESENCE_DISCONNECT_GRACE_MS: "500",
          HAPPIER_PRESENCE_START_GRACE_MS: "500",
          HAPPIER_PRESENCE_SWEEP_INTERVAL_MS: "1000"
        })
        const place = { directory: server.directory }
        const { accountId, device } = yield* loggedIn(server)
        const other = yield* loggedIn(server)
        const bystander = yield* other.device.connect({ clientType: "user-scoped" })
        const sessionId = yield* Device.openSession(device, "t")
        const agent = yield* device.connect({ clientType: "session-scoped", sessionId })
        Device.pulse(agent, "session", sessionId).beat()
        yield* agent.ask("message", { sid: sessionId, message: "bQ==", localId: "before" })

        const disabled = yield* OperatorCommand.run(["account", "disable", accountId], place)
        assert.deepStrictEqual(
          [disabled.code, disabled.stdout],
          [0, `${accountId} is disabled, and its connections are closed\n`]
        )
        const { payload } = yield* agent.until(({ event }) => event === "disconnect")
        // Not the farewell after which a client stays away.
        assert.notStrictEqual(payload, "io server disconnect")
        // As agents do: no ack, and the buffer of the client.
        agent.socket.emit("message", { sid: sessionId, message: "bQ==", localId: "meanwhile" })
        assert.strictEqual((yield* device.get("/v1/sessions")).status, 503)
        const again = yield* OperatorCommand.run(["account", "disable", accountId], place)
        assert.deepStrictEqual([again.code, again.stderr], [0, ""])
        assert.match(again.stdout, / is disabled already, /)
        const unknown = yield* OperatorCommand.run(["account", "disable", "nobody"], place)
        assert.deepStrictEqual(
          [unknown.code, unknown.stderr],
          [1, "happier-light-server: the server refused: Account not found (NotFound)\n"]
        )
        yield* Eventually.until(
          Effect.sync(() => server.rows(`SELECT "active" FROM "Session" WHERE "id" = ?`, sessionId)[0]?.["active"]),
          (active) => active === 0,
          "60 seconds"
        )

        yield* server.end("SIGKILL")
        yield* server.start
        assert.strictEqual((yield* device.get("/v1/sessions")).status, 503)
        const shown = yield* OperatorCommand.json(["account", "show", accountId], place)
        assert.isNumber(shown.disabledAt)
        assert.deepInclude(shown, { sessionCount: 1, messageCount: 1 })
        const list = yield* OperatorCommand.run(["account", "list"], place)
        assert.match(list.stdout, new RegExp(`^${accountId} .* disabled `, "m"))
        assert.notMatch(list.stdout, new RegExp(`^${other.accountId} .* disabled `, "m"))
        assert.isFalse(agent.socket.connected)
        yield* bystander.until(({ event }) => event === "connect", 1)
        assert.strictEqual((yield* other.device.get("/v1/sessions")).status, 200)

        const comesFrom = agent.heard.length
        const enabled = yield* OperatorCommand.json(["account", "enable", accountId], place)
        assert.deepStrictEqual(enabled, { id: accountId, disabledAt: null, isChanged: true })
        assert.strictEqual((yield* device.get("/v1/sessions")).status, 200)
        yield* agent.until(({ event }) => event === "connect", comesFrom)
        yield* agent.settled
        yield* Eventually.until(
          Effect.sync(() => contents(server)),
          (localIds) => localIds.length === 2
        )
        assert.deepStrictEqual(contents(server), ["before", "meanwhile"])
      }),
    180_000
  )

  it.scopedLive(
    "has no token accepted and no socket open after the command, whatever was under way",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start()
        const { accountId, device } = yield* loggedIn(server)
        const busy = yield* Effect.fork(
          Effect.forever(
            Effect.forEach(
              [0, 1, 2, 3],
              (index) => Effect.ignore(device.post("/v1/machines", { id: `m${index}`, metadata: "m" })),
              { concurrency: 4 }
            )
          )
        )
        const lines = yield* Effect.replicateEffect(
          Device.dial(server.url, { token: device.token, clientType: "user-scoped" }),
          20
        )
        yield* OperatorCommand.json(["account", "disable", accountId], { directory: server.directory })
        const statuses = yield* Effect.replicateEffect(device.get("/v1/sessions"), 20)
        assert.deepStrictEqual([...new Set(statuses.map(({ status }) => status))], [503])
        yield* Eventually.until(
          OperatorCommand.json(["status"], { directory: server.directory }),
          ({ sockets }) => sockets.apps === 0
        )
        assert.isEmpty(lines.filter(({ heard }) => heard.some(({ event }) => event === "error")))
        yield* Fiber.interrupt(busy)
      }),
    120_000
  )
})
