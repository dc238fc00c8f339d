/**
 * Goal: no input to any route or event causes an answer outside the protocol, an internal error, or a crash. Method:
 * the schemas of all registered routes and events, taken from a server in this process, generate inputs that fit and
 * inputs that almost do; they are sent to the built server. `npm run prove -- fuzz` sends more of them; the seed
 * repeats them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck as fc, Layer, Schema } from "effect"
import type { FastifyInstance, FastifySchema } from "fastify"
import { randomInt } from "node:crypto"
import diagnostics from "node:diagnostics_channel"
import path from "node:path"
import { vi } from "vitest"
import * as LightServer from "light-server/src/LightServer"
import type * as EventRegistry from "light-server/src/realtime/events/EventRegistry"
import * as ServerConfig from "light-server/src/config/ServerConfig"
import { events, routes } from "../../src/contract/Contract.ts"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as TemporaryDirectory from "../../src/drivers/TemporaryDirectory.ts"
import * as FuzzInput from "../../src/fuzz/FuzzInput.ts"
import * as FuzzTarget from "../../src/fuzz/FuzzTarget.ts"

const inputCount = Number(process.env["FUZZ_INPUTS"] ?? 2000)
const seed = Number(process.env["FUZZ_SEED"] ?? randomInt(2 ** 31))

/** Sent at once. */
const batchSize = 32

/** Inputs of one account: lists must not grow for ever. */
const batchesPerAccount = 40

const noted = vi.hoisted(() => ({ events: new Map<string, Schema.Schema.AnyNoContext | undefined>() }))

vi.mock("light-server/src/realtime/events/EventRegistry", async (importOriginal) => {
  const { inPlaceOf } = await import("proving/drivers/NotedEvents")
  return inPlaceOf(await importOriginal<typeof EventRegistry>(), (event, payload) => noted.events.set(event, payload))
})

const Amount = Schema.Number.pipe(Schema.between(0, 1e9))
const Amounts = Schema.Struct({ total: Amount, input: Schema.optional(Amount) })
const Usage = Schema.Struct({
  key: Schema.String.pipe(Schema.minLength(1), Schema.maxLength(300)),
  sessionId: Schema.optional(Schema.String),
  tokens: Amounts,
  cost: Amounts
})
const Method = Schema.Struct({ method: Schema.String })

/** What is read by hand, without a schema: about this is expected. */
const unwritten: { readonly [name: string]: Schema.Schema.AnyNoContext } = {
  ping: Schema.Struct({}),
  "machine-alive": Schema.Struct({ machineId: Schema.String, time: Schema.Number }),
  "session-alive": Schema.Struct({ sid: Schema.String, time: Schema.Number, thinking: Schema.Boolean }),
  "usage-report": Usage,
  "rpc-register": Method,
  "rpc-unregister": Method,
  "POST /v2/usage-reports": Usage
}

const bodyOf = (name: string, found: unknown): Schema.Schema.AnyNoContext | undefined =>
  unwritten[name] ?? (Schema.isSchema(found) ? (found as Schema.Schema.AnyNoContext) : undefined)

/** Builds the server in this process, to see what it registers, and ends it. */
const findTargets = Effect.gen(function* () {
  const directory = yield* TemporaryDirectory.make
  const { config } = yield* ServerConfig.load({
    HOME: directory,
    HAPPIER_SERVER_LIGHT_DATA_DIR: path.join(directory, "data"),
    PORT: String(yield* BuiltServer.freePort)
  })
  const targets: Array<FuzzInput.Target> = []
  const watch = (message: unknown) => {
    const { fastify } = message as { readonly fastify: FastifyInstance }
    fastify.addHook("onRoute", ({ method, schema = {}, url }) => {
      const { body, querystring }: FastifySchema = schema
      for (const one of [method].flat()) {
        const name = `${one} ${url}`
        if (!(name in routes)) continue
        targets.push({ kind: "route", name, body: bodyOf(name, body), querystring: bodyOf("", querystring) })
      }
    })
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => diagnostics.subscribe("fastify.initialization", watch)),
    () => Effect.sync(() => diagnostics.unsubscribe("fastify.initialization", watch))
  )
  yield* Layer.build(LightServer.layer(config))
  for (const [name, payload] of [...noted.events, ["ping", undefined] as const]) {
    targets.push({ kind: "event", name, body: bodyOf(name, payload), querystring: undefined })
  }
  return targets
}).pipe(Effect.scoped, Effect.orDie)

const environment = {
  HAPPIER_RATE_LIMIT_AUTH: "0",
  HAPPIER_RATE_LIMIT_OPEN: "0",
  HAPPIER_RATE_LIMIT_CONTROL: "0",
  HAPPIER_RATE_LIMIT_READS: "0",
  HAPPIER_RATE_LIMIT_BAD_TOKENS: "0",
  HAPPIER_RATE_LIMIT_SOCKETS: "0",
  HAPPIER_SOCKET_EVENTS_PER_SECOND: "10000",
  HAPPIER_SOCKET_EVENT_BURST: "100000",
  HAPPIER_PRESENCE_FLUSH_INTERVAL_MS: "200"
}

/** The output of a server with an unexpected error. */
const defectsIn = (output: string) => output.split("\n").filter((line) => /DEFECT|UNCAUGHT|Error:/.test(line))

/** What a request to a route with a body costs when nothing is wrong with its size. */
const small = { name: "small", body: "{}" }

/** In milliseconds, of the quickest of a few: the box may do something else meanwhile. */
const quickest = (send: Effect.Effect<Device.Answer>) =>
  Effect.map(Effect.replicateEffect(send, 3), (answers) => ({
    statuses: answers.map(({ status }) => status),
    millis: Math.min(...answers.map(({ millis }) => millis))
  }))

describe("an extreme body", () => {
  it.scopedLive(
    "is refused on every route that takes one, and costs little more than a small one",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start(environment)
        const device = yield* Device.login(server.url, Client.make())
        const targets = Object.keys(routes).filter((name) => /^(POST|PATCH) /.test(name) && !name.endsWith("/revoke"))
        const send = (name: string, body: string, isAuthorized: boolean) => {
          const [method = "", route = ""] = name.split(" ")
          return Effect.orDie(
            Device.request(server.url + route.replace(":id", "none"), {
              method,
              headers: {
                "content-type": "application/json",
                ...(isAuthorized ? { authorization: `Bearer ${device.token}` } : {})
              },
              body
            })
          )
        }
        for (const target of targets) {
          const usual = yield* quickest(send(target, small.body, true))
          for (const { name, body } of FuzzInput.extremes) {
            const met = yield* quickest(send(target, body, true))
            const what = `${target} ${name}: ${met.millis} ms, usually ${usual.millis} ms`
            // Where nothing is required, unknown fields are ignored.
            const isUsed = (status: number) => status === 200 && usual.statuses.includes(200)
            for (const status of met.statuses) {
              assert.isTrue((status >= 400 && status < 500) || isUsed(status), `${what}, ${status}`)
            }
            // A megabyte is read and scanned; what was 200 times as much is refused.
            assert.isBelow(met.millis, 30 * usual.millis + 200, what)
            const anonymous = yield* send(target, body, false)
            assert.include([400, 401, 413], anonymous.status, `${what} without a token`)
          }
        }
        assert.deepStrictEqual(defectsIn(server.output()), [])
      }),
    180_000
  )
})

describe("any input", () => {
  it.scopedLive(
    "is answered as the protocol requires, and the server goes on",
    () =>
      Effect.gen(function* () {
        const targets = yield* findTargets
        assert.sameMembers(
          targets.map(({ name }) => name),
          [...Object.keys(routes), ...Object.keys(events)]
        )
        const server = yield* BuiltServer.start(environment)
        const outcomes = new Map<string, Map<string, number>>()
        const count = (name: string, outcome: string) => {
          const counts = outcomes.get(name) ?? new Map<string, number>()
          outcomes.set(name, counts.set(outcome, (counts.get(outcome) ?? 0) + 1))
        }
        const batches = fc.array(FuzzInput.inputs(targets), { minLength: batchSize, maxLength: batchSize })
        const accountCount = Math.ceil(inputCount / (batchSize * batchesPerAccount))
        for (let index = 0; index < accountCount; index++) {
          const numRuns = Math.min(batchesPerAccount, Math.ceil(inputCount / batchSize) - index * batchesPerAccount)
          const round = Effect.gen(function* () {
            const target = yield* FuzzTarget.make(server.url)
            const run = (batch: ReadonlyArray<FuzzInput.Input>) =>
              Effect.forEach(
                batch,
                (input) => Effect.map(target.attack(input), (outcome) => count(input.target.name, outcome)),
                { concurrency: "unbounded", discard: true }
              ).pipe(Effect.zipRight(target.recover), Effect.runPromise)
            yield* Effect.promise(() =>
              fc.assert(fc.asyncProperty(batches, run), { numRuns, seed: seed + index, endOnFailure: true })
            )
          })
          yield* Effect.scoped(round).pipe(
            Effect.tap(() => assert.deepStrictEqual(defectsIn(server.output()), [])),
            Effect.tapErrorCause(() => Effect.sync(() => console.error(`npm run prove -- fuzz --seed ${seed}`)))
          )
        }
        for (const [name, counts] of [...outcomes].toSorted()) {
          console.log(name, Object.fromEntries(counts))
        }
        console.log(`${inputCount} inputs to ${targets.length} routes and events, seed ${seed}`)
        assert.strictEqual(outcomes.size, targets.length, `not all were reached with the seed ${seed}`)
        const accepted = [...outcomes.values()].filter((counts) =>
          [...counts.keys()].some((outcome) => /^(200|said|success|true|pong)$/.test(outcome))
        )
        // Inputs that are all refused before the handler would prove little.
        assert.isAtLeast(accepted.length, targets.length * 0.8)

        assert.strictEqual((yield* Effect.orDie(Device.request(`${server.url}/readyz`))).status, 200)
        const { code } = yield* server.end("SIGTERM")
        assert.strictEqual(code, 0, server.output())
      }),
    120_000 + inputCount * 50
  )
})
