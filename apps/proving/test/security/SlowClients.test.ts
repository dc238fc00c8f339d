/**
 * Goal: a slow client holds a connection for a bounded time, and affects no
 * other client. Method: four hundred connections at once that send headers
 * slowly, send a body slowly, send nothing, or open a transport and then send
 * nothing.
 */
import { assert, layer } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as TimeLimit from "../../src/drivers/TimeLimit.ts"
import * as Bystander from "./Bystander.ts"
import * as RawClient from "./RawClient.ts"

const connectMillis = 10_000

const crowd = 100

/** The server's documented limits, its check interval, and time for a busy box. */
const headersMillis = 10_000
const bodyMillis = 30_000
const slackMillis = 12_000

/** The websocket receives a close frame, and has this long to answer it. Meanwhile it does not count. */
const farewellMillis = 30_000

const late = { error: "Error", message: "the request did not arrive in time", statusCode: 408 }

/** Writes one more byte every half second until the server closes the connection. */
const dribble = (url: string, first: string, more: string) =>
  Effect.scoped(
    Effect.gen(function* () {
      const client = yield* RawClient.connect(url)
      client.write(first)
      const dribbling = Effect.schedule(
        Effect.sync(() => client.write(more)),
        Schedule.spaced("500 millis")
      )
      return yield* Effect.raceFirst(client.closed, Effect.zipRight(dribbling, Effect.never))
    })
  )

const many = (one: Effect.Effect<RawClient.Reply>) =>
  Effect.all(
    Array.from({ length: crowd }, () => one),
    { concurrency: "unbounded" }
  )

layer(BuiltServer.layer(), { excludeTestServices: true, timeout: "60 seconds" })("slow clients", (it) => {
  it.scoped(
    "are answered with 408 and closed when their time is over, while others are served",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.BuiltServer
        const device = yield* Device.login(server.url, Client.make())
        const { url } = server
        const head = ["POST /v1/auth HTTP/1.1", "host: x", "content-type: application/json", "content-length: 500"]
        const body = `${head.join("\r\n")}\r\n\r\n{`
        const attack = Effect.all(
          {
            headers: many(dribble(url, "GET /livez HTTP/1.1\r\nhost: x\r\n", "x")),
            body: many(dribble(url, body, " ")),
            silent: many(RawClient.talk(url, "")),
            transport: many(RawClient.talk(url, RawClient.upgrade()))
          },
          { concurrency: "unbounded" }
        )
        const { headers, silent, transport, ...rest } = yield* Bystander.during(server, device, attack)
        for (const reply of [...headers, ...silent]) {
          assert.deepStrictEqual([reply.status, reply.body], [408, late])
          TimeLimit.holds("slow headers, in ms", reply.millis, headersMillis + slackMillis)
        }
        for (const reply of rest.body) {
          assert.deepStrictEqual([reply.status, reply.body], [408, late])
          TimeLimit.holds("a slow body, in ms", reply.millis, bodyMillis + slackMillis)
        }
        for (const reply of transport) {
          assert.strictEqual(reply.status, 101)
          const limit = connectMillis + farewellMillis + slackMillis
          TimeLimit.holds("a socket that never speaks, in ms", reply.millis, limit)
        }
      }),
    90_000
  )
})
