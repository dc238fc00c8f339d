/**
 * The target of the fuzzer: an account with sockets on the built server, and
 * the form that its answers must have whatever is sent.
 */
import { assert } from "@effect/vitest"
import { Effect, Either, Schema, type Scope } from "effect"
import { randomBytes, randomUUID } from "node:crypto"
import * as FailureTable from "light-server/src/http/FailureTable"
import * as Client from "../drivers/AccountClient.ts"
import { events, type EventTerms, routes, type RouteTerms } from "../contract/Contract.ts"
import * as Shapes from "../contract/Shapes.ts"
import * as Device from "../drivers/Device.ts"
import * as FuzzInput from "./FuzzInput.ts"

export interface FuzzTarget {
  /** Sends it, and requires an answer of the protocol. Returns the outcome. */
  readonly attack: (input: FuzzInput.Input) => Effect.Effect<string>
  /** A session or an artifact that was deleted is there again; and all sockets are still there. */
  readonly recover: Effect.Effect<void>
}

/** Statuses that any route may have: earlier refusals, and temporary failures. */
const anywhere = new Set([400, 401, 404, 413, 414, 415, 503])

const Refused = Schema.Struct({ error: Schema.NonEmptyString })

const fits = (shape: Schema.Schema.AnyNoContext, value: unknown) =>
  Either.isRight(Schema.decodeUnknownEither(shape as Schema.Schema<unknown>)(value))

const demandAnswer = (route: string, { body, status, text }: Device.Answer, sent: string) => {
  const what = `${route} ${sent} -> ${status} ${text.slice(0, 300)}`
  const { answers } = (routes as { readonly [route: string]: RouteTerms })[route] ?? { answers: {} }
  assert.isTrue(status in answers || anywhere.has(status), what)
  if (status < 400) return
  const own = (answers as { readonly [status: number]: Schema.Schema.AnyNoContext })[status]
  assert.isTrue(fits(Refused, body) || (own !== undefined && fits(own, body)), what)
  if (status !== 503) return assert.isBelow(status, 500, what)
  assert.isTrue(fits(Shapes.Later, body), what)
  assert.include(FailureTable.tags, body["code"], what)
}

/** Refusals that no contract test can cause, in the same form. */
const refusals = [
  Schema.Struct({ ok: Schema.Literal(false), error: Schema.NonEmptyString }),
  Schema.Struct({ success: Schema.Literal(false), error: Schema.NonEmptyString })
]

const demandAck = (event: string, ack: unknown, sent: string) => {
  const { acks } = (events as { readonly [event: string]: EventTerms })[event] ?? { acks: {} }
  const shapes = [...Object.values<Schema.Schema.AnyNoContext>(acks), ...refusals]
  const isKnown = shapes.some((shape) => fits(shape, ack))
  assert.isTrue(isKnown, `${event} ${sent} -> ${JSON.stringify(ack)}`)
}

const shown = (value: unknown) => {
  try {
    return String(JSON.stringify(value)).slice(0, 500)
  } catch {
    return String(value)
  }
}

const jsonOf = (value: unknown): string => {
  try {
    return JSON.stringify(value) ?? ""
  } catch {
    return "{}"
  }
}

const textOf = ({ body, form }: FuzzInput.Input): string => {
  const json = jsonOf(body)
  if (form === "cut") return json.slice(0, json.length >> 1)
  return form === "text" ? shown(body) : json
}

/** Parts of a path that describe their value; in place of others the id of the input is used. */
const pathParts: { readonly [name: string]: string } = {
  vendor: "openai",
  sessionId: FuzzInput.placeholders.sid,
  machineId: FuzzInput.placeholders.machineId
}

const pathOf = (path: string, { id, query }: FuzzInput.Input, known: FuzzInput.Known) => {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(Object(query)).slice(0, 20))
    search.append(name, shown(value).replace(/^"|"$/g, ""))
  const isOdd = !Object.values<string>({ ...known }).includes(id)
  // A lone surrogate has no place in a path; some ids bring their own percent signs.
  const segment = id.startsWith("%") ? id : encodeURIComponent(Buffer.from(id).toString())
  const named = path.replace(/:(\w+)/g, (_, name: string) => {
    const part = pathParts[name]
    return part === undefined || isOdd ? segment : FuzzInput.fill(part, known)
  })
  return `${named}?${search.toString()}`
}

/** Ends with an answer, or reports which input had none. */
const inTime = <A>(effect: Effect.Effect<A>, what: string) =>
  effect.pipe(
    Effect.timeoutFail({ duration: "15 seconds", onTimeout: () => new Error(`no answer: ${what}`) }),
    Effect.orDie
  )

/** A machine that is revoked loses its socket, so another one is made for that. */
const endsOfMachines: ReadonlySet<string> = new Set(["POST /v1/machines/:id/revoke", "DELETE /v1/machines/:id"])

export const make = (url: string): Effect.Effect<FuzzTarget, never, Scope.Scope> =>
  Effect.gen(function* () {
    const device = yield* Device.login(url, Client.make())
    const machineId = randomUUID()
    const publicKey = randomBytes(32).toString("base64")
    yield* Effect.orDie(device.post("/v1/machines", { id: machineId, metadata: "m" }))
    yield* Effect.orDie(Device.post(`${url}/v1/auth/request`, { publicKey }))
    let sid = yield* Device.openSession(device, "fuzz")
    const lines = [
      yield* device.connect({ clientType: "user-scoped" }),
      yield* device.connect({ clientType: "session-scoped", sessionId: sid }),
      yield* device.connect({ clientType: "machine-scoped", machineId })
    ]
    for (const { socket } of lines) {
      socket.on("rpc-request", (request: unknown, answer: (result: unknown) => void) => answer(request))
    }
    let artifactId = ""
    const addArtifact = Effect.suspend(() => {
      artifactId = randomUUID()
      return Effect.orDie(
        device.post("/v1/artifacts", { id: artifactId, header: "AAEC", body: "AAEC", dataEncryptionKey: "AAEC" })
      )
    })
    yield* addArtifact
    let turn = 0

    const attackRoute = (input: FuzzInput.Input, known: FuzzInput.Known) =>
      Effect.gen(function* () {
        const [method = "", path = ""] = input.target.name.split(" ")
        // An account that revokes its own tokens cannot go on.
        const isEnd = input.target.name === "POST /v1/auth/revoke"
        const token = isEnd ? (yield* Device.login(url, Client.make())).token : device.token
        const hasBody = method !== "GET" && input.form !== "none"
        const answer = yield* Effect.orDie(
          Device.request(url + pathOf(path, input, known), {
            method,
            headers: {
              ...(input.isAuthorized ? { authorization: `Bearer ${token}` } : {}),
              ...(hasBody && input.form !== "untyped" ? { "content-type": "application/json" } : {})
            },
            ...(hasBody ? { body: textOf(input) } : {})
          })
        )
        demandAnswer(input.target.name, answer, `${input.id} ${shown(input.query)} ${shown(input.body)}`)
        return String(answer.status)
      })

    const attackEvent = (input: FuzzInput.Input) =>
      Effect.gen(function* () {
        const line = lines[turn++ % lines.length]
        if (line === undefined) return "none"
        const event = input.target.name
        const terms = (events as { readonly [event: string]: EventTerms })[event]
        if (Object.keys(terms?.acks ?? {}).length === 0) {
          line.socket.emit(event, input.body)
          yield* line.settled
          return "said"
        }
        const ack = yield* line.ask(event, input.body)
        demandAck(event, ack, shown(input.body))
        return String(ack?.ok ?? ack?.result ?? ack?.success ?? "pong")
      })

    return {
      attack: (raw) =>
        Effect.suspend(() => {
          const isEnd = endsOfMachines.has(raw.target.name)
          const known = { sid, machineId: isEnd ? randomUUID() : machineId, artifactId, publicKey }
          const input = { ...FuzzInput.fill(raw, known), target: raw.target }
          const attack = input.target.kind === "route" ? attackRoute(input, known) : attackEvent(input)
          const register = Effect.orDie(device.post("/v1/machines", { id: known.machineId, metadata: "m" }))
          const what = `${input.target.name} ${shown(input.body)}`
          return inTime(isEnd ? Effect.zipRight(register, attack) : attack, what)
        }),
      recover: Effect.gen(function* () {
        sid = yield* Device.openSession(device, "fuzz")
        yield* addArtifact
        for (const line of lines) {
          assert.isFalse(
            line.heard.some(({ event }) => event === "disconnect"),
            "a socket was closed"
          )
        }
      })
    }
  })
