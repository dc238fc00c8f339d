/** F24: invalid tokens, and ids of another account. */
import { Effect } from "effect"
import { SignJWT } from "jose"
import { generateKeyPairSync, randomUUID } from "node:crypto"
import * as Client from "../../drivers/AccountClient.ts"
import * as AckLog from "../../drivers/AckLog.ts"
import type { Server } from "../../drivers/BuiltServer.ts"
import * as Device from "../../drivers/Device.ts"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as Stage from "../support/Stage.ts"

const routes = ["/v1/machines", "/v1/sessions", "/v1/account/profile"]

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")

/** Each is like a good one except for what its name describes. */
const forgeries = (token: string) =>
  Effect.promise(async () => {
    const [head = "", payload = "", signature = ""] = token.split(".")
    const claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as Record<string, unknown>
    const stranger = generateKeyPairSync("ed25519").privateKey
    return {
      "of another server": await new SignJWT(claims).setProtectedHeader({ alg: "EdDSA" }).sign(stranger),
      "with alg none": `${part({ alg: "none" })}.${payload}.`,
      "with HMAC": await new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).sign(Buffer.alloc(32, 1)),
      "for another account": `${head}.${part({ ...claims, sub: "somebody" })}.${signature}`,
      truncated: token.slice(0, -8),
      "without a signature": `${head}.${payload}.`,
      empty: "",
      "that is malformed": randomUUID()
    }
  })

/** Everything that belongs to an account. */
const rowsOf = (server: Server) =>
  JSON.stringify(
    ["Machine", "Session", "SessionMessage", "AccountChange", "Account"].map((table) =>
      server.rows(`SELECT * FROM "${table}" ORDER BY 1, 2`)
    )
  )

/** What a client that has the ids of another account tries. */
const tryForeignRows = (
  server: Server,
  mallory: Device.Device,
  ids: { readonly session: string; readonly machine: string }
) =>
  Effect.gen(function* () {
    const { machine, session } = ids
    const headers = { authorization: `Bearer ${mallory.token}` }
    const requests = yield* Effect.forEach(
      [
        Device.request(`${server.url}/v1/sessions/${session}`, { method: "DELETE", headers }),
        mallory.get(`/v1/sessions/${session}/messages`),
        mallory.get(`/v1/machines/${machine}`),
        mallory.post("/v1/machines", { id: machine, metadata: "mine" })
      ],
      (request) => Effect.map(Effect.orDie(request), ({ status }) => status)
    )
    const line = yield* mallory.connect({ clientType: "user-scoped" })
    const acks = yield* Effect.forEach(
      [
        line.ask("message", { sid: session, message: "mine", localId: "l" }),
        line.ask("update-metadata", { sid: session, metadata: "mine", expectedVersion: 0 }),
        line.ask("update-state", { sid: session, agentState: "mine", expectedVersion: 0 })
      ],
      (answer) => Effect.map(answer, (ack) => ack?.ok === true || ack?.result === "success")
    )
    for (let count = 0; count < 20; count++) {
      line.socket.emit("session-alive", { sid: session, time: Date.now(), thinking: false })
      line.socket.emit("machine-alive", { machineId: machine, time: Date.now() })
      line.socket.emit("session-end", { sid: session, time: Date.now() })
    }
    yield* line.settled
    yield* Effect.sleep(3 * Stage.tickMillis)
    return { requests, acks }
  })

export const F24TokenMisuse: Scenario = {
  id: "F24",
  title: "forged tokens, and ids of another account",
  injected: "8 forged tokens on 3 routes and on sockets; another account tries every way to the rows of the first",
  promises: ["P18"],
  needs: [],
  isQuick: false,
  within: "60 seconds",
  run: () =>
    Effect.gen(function* () {
      const { device: alice, server, sessionIds } = yield* Stage.open({ sessionCount: 1 })
      const log = AckLog.make()
      yield* Effect.orDie(log.register(alice))
      const ids = { session: sessionIds[0] ?? "", machine: [...log.acknowledged][0] ?? "" }
      const mallory = yield* Device.login(server.url, Client.make())
      const before = rowsOf(server)
      const forged = yield* forgeries(alice.token)
      const welcomed: Array<string> = []
      for (const [name, token] of Object.entries(forged)) {
        for (const route of routes) {
          const { status } = yield* Effect.orDie(
            Device.request(server.url + route, { headers: { authorization: `Bearer ${token}` } })
          )
          if (status !== 401) welcomed.push(`${route} ${name}: ${status}`)
        }
        const line = yield* Device.dial(server.url, { token, clientType: "user-scoped" })
        const first = yield* line.until(({ event }) => ["connect", "error", "connect_error"].includes(event))
        if (first.event === "connect") {
          const second = yield* Effect.option(
            Effect.timeout(
              line.until(({ event }) => event === "error" || event === "disconnect"),
              5000
            )
          )
          if (second._tag === "None") welcomed.push(`a socket ${name}`)
        }
      }
      const tried = yield* tryForeignRows(server, mallory, ids)
      return [
        Observe.none("forged tokens that were accepted", welcomed),
        Observe.equal("answers to requests about rows of another", tried.requests.join(", "), "404, 404, 404, 409"),
        Observe.equal("events about rows of another that were done", tried.acks.filter(Boolean).length, 0),
        Observe.yes("the rows are as they were", rowsOf(server) === before)
      ]
    })
}
