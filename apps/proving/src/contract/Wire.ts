/**
 * The wire protocol as clients use it: axios and socket.io-client against the
 * built server. Every answer, ack and event is checked against the contract,
 * and the covered clauses are recorded.
 */
import { assert, layer, type Vitest } from "@effect/vitest"
import axios, { type AxiosResponse } from "axios"
import { Context, Effect, Either, Layer, ParseResult, Schema, type Scope } from "effect"
import * as ContractDatabase from "./ContractDatabase.ts"
import * as Client from "../drivers/AccountClient.ts"
import * as BuiltServer from "../drivers/BuiltServer.ts"
import * as Device from "../drivers/Device.ts"
import {
  clausesOf,
  type EventName,
  events,
  type EventTerms,
  type Part,
  type RouteName,
  routes,
  type RouteTerms
} from "./Contract.ts"
import * as Shapes from "./Shapes.ts"

type Routes = typeof routes
type Events = typeof events

/** The temporary refusals that writes can have in addition. */
type Status<R extends RouteName> =
  | (keyof Routes[R]["answers"] & number)
  | (Routes[R] extends { readonly writes: true } ? 503 : never)

type BodyOf<R extends RouteName, S> = S extends keyof Routes[R]["answers"]
  ? Routes[R]["answers"][S] extends Schema.Schema<infer A, infer _I, never>
    ? A
    : never
  : typeof Shapes.Later.Type

type Outcome<E extends EventName> = keyof Events[E]["acks"] & string

type AckOf<E extends EventName, O> = O extends keyof Events[E]["acks"]
  ? Events[E]["acks"][O] extends Schema.Schema<infer A, infer _I, never>
    ? A
    : never
  : never

export interface Request {
  readonly params?: { readonly [name: string]: string }
  readonly query?: { readonly [name: string]: string | number }
  /** What axios makes JSON of; bytes go as they are. */
  readonly body?: unknown
  readonly headers?: { readonly [name: string]: string }
}

/** A request whose answer must have this status and its shape. */
type Call = <R extends RouteName, S extends Status<R>>(
  route: R,
  status: S,
  request?: Request
) => Effect.Effect<BodyOf<R, S>>

/** A client with an account and a token. */
export interface Person {
  readonly id: string
  readonly token: string
  readonly keys: ReturnType<typeof Client.make>
  readonly call: Call
  readonly connect: (handshake: Device.Handshake) => Effect.Effect<Device.Line, never, Scope.Scope>
  /** An app: a socket that is user-scoped. */
  readonly app: Effect.Effect<Device.Line, never, Scope.Scope>
  /** A session that is open, and the socket of its agent. */
  readonly agent: Effect.Effect<{ readonly sid: string; readonly line: Device.Line }, never, Scope.Scope>
  /** A machine that is registered, and the socket of its daemon. */
  readonly daemon: Effect.Effect<{ readonly machineId: string; readonly line: Device.Line }, never, Scope.Scope>
}

export class Wire extends Context.Tag("test/Wire")<
  Wire,
  {
    readonly server: BuiltServer.Server
    /** Sends a request without a token. */
    readonly call: Call
    /** One request, without a check. */
    readonly request: (method: string, path: string, request?: Request) => Effect.Effect<AxiosResponse>
    /** Logs in, with a new account unless the keys are given. */
    readonly person: (keys?: ReturnType<typeof Client.make>) => Effect.Effect<Person>
    /** Begins to connect without a token. */
    readonly dial: (handshake: Device.Handshake) => Effect.Effect<Device.Line, never, Scope.Scope>
    /** Sends an event whose ack must have this outcome. */
    readonly ask: <E extends EventName, O extends Outcome<E>>(
      line: Device.Line,
      event: E,
      outcome: O,
      ...payload: ReadonlyArray<unknown>
    ) => Effect.Effect<AckOf<E, O>>
    /** Sends an event without an ack. */
    readonly say: (line: Device.Line, event: EventName, payload: unknown) => Effect.Effect<void>
    /** Clauses of the contract that were covered. */
    readonly met: Set<string>
    /** Messages that were received and are not in the contract. */
    readonly unknown: ReadonlyArray<string>
  }
>() {}

/** Why a value does not have a shape. An unknown key is one reason. */
const mismatch = (shape: Schema.Schema.AnyNoContext, value: unknown): string | undefined =>
  Either.match(Schema.decodeUnknownEither(shape as Schema.Schema<unknown>, { onExcessProperty: "error" })(value), {
    onLeft: (error) => `${ParseResult.TreeFormatter.formatErrorSync(error)}\nin ${JSON.stringify(value)}`,
    onRight: () => undefined
  })

export const demand = (what: string, shape: Schema.Schema.AnyNoContext, value: unknown) => {
  const reason = mismatch(shape, value)
  assert.isUndefined(reason, `${what}: ${reason}`)
}

/**
 * A temporary refusal contains when to come back, in the header and, except for the health of the server, in the body.
 */
const demandRetryAfter = (what: string, { status, headers, data }: AxiosResponse) => {
  const header = headers["retry-after"]
  if (status !== 429 && status !== 503) return assert.isUndefined(header, what)
  assert.match(String(header), /^[1-9]\d*$/, what)
  if (data.retryAfterMs !== undefined) assert.strictEqual(data.retryAfterMs, Number(header) * 1000, what)
}

const nameOf = (event: string, payload: any): string =>
  event === "update" ? `update ${payload.body.t}` : event === "ephemeral" ? `ephemeral ${payload.type}` : event

const isLocal = (event: string) => event === "connect" || event === "disconnect" || event === "connect_error"

const said: { readonly [name: string]: Schema.Schema.AnyNoContext | undefined } = Object.fromEntries([
  ...Object.entries(Shapes.updates).map(([t, body]) => [
    `update ${t}`,
    Shapes.updateOf(body as Schema.Schema<unknown>)
  ]),
  ...Object.entries(Shapes.ephemerals).map(([type, shape]) => [`ephemeral ${type}`, shape]),
  ...Object.entries(Shapes.others)
])

const makePerson = (
  { dial, call, ask }: Pick<Wire["Type"], "dial" | "ask" | "call">,
  authorized: (token: string) => Call,
  keys: Person["keys"]
): Effect.Effect<Person> =>
  Effect.gen(function* () {
    const { token } = yield* call("POST /v1/auth", 200, { body: keys.challenge() })
    const own = authorized(token)
    const { id } = yield* own("GET /v1/account/profile", 200)
    const connect: Person["connect"] = (handshake) =>
      Effect.gen(function* () {
        const line = yield* dial({ token, ...handshake })
        yield* line.until(({ event }) => event === "connect")
        yield* ask(line, "ping", "pong")
        return line
      })
    return {
      id,
      token,
      keys,
      call: own,
      connect,
      app: connect({ clientType: "user-scoped" }),
      agent: Effect.gen(function* () {
        const body = { tag: crypto.randomUUID(), metadata: "m" }
        const { session } = yield* own("POST /v1/sessions", 200, { body })
        return { sid: session.id, line: yield* connect({ clientType: "session-scoped", sessionId: session.id }) }
      }),
      daemon: Effect.gen(function* () {
        const machineId = crypto.randomUUID()
        yield* own("POST /v1/machines", 200, { body: { id: machineId, metadata: "m" } })
        return { machineId, line: yield* connect({ clientType: "machine-scoped", machineId }) }
      })
    }
  })

const make = Effect.gen(function* () {
  const server = yield* BuiltServer.BuiltServer
  const met = new Set<string>()
  const unknown: Array<string> = []

  const request: Wire["Type"]["request"] = (method, path, { params = {}, query, body, headers } = {}) =>
    Effect.promise((signal) =>
      axios.request({
        method,
        url: server.url + path.replace(/:(\w+)/g, (_, name: string) => encodeURIComponent(params[name] ?? "")),
        ...(query === undefined ? {} : { params: { ...query } }),
        data: body,
        ...(headers === undefined ? {} : { headers: { ...headers } }),
        timeout: 10_000,
        signal,
        validateStatus: () => true
      })
    ).pipe(Effect.tap((answer) => Effect.sync(() => demandRetryAfter(`${method} ${path}`, answer))))

  const exchange = (route: RouteName, sent: Request | undefined) =>
    Effect.map(request(...(route.split(" ") as [string, string]), sent), (answer) => {
      const what = `${route} was answered with ${answer.status} ${JSON.stringify(answer.data)}`
      // Text is plain, or a file of the page of the operator.
      const type =
        typeof answer.data === "string" ? /^text\/(plain|html|javascript)/ : /^application\/json; charset=utf-8$/
      assert.match(String(answer.headers["content-type"]), type, what)
      return { ...answer, what }
    })

  const callWith =
    (headers: Request["headers"]): Call =>
    (route, status, sent = {}) =>
      Effect.map(exchange(route, { ...sent, headers: { ...headers, ...sent.headers } }), (answer) => {
        assert.strictEqual<number>(answer.status, status, answer.what)
        demand(route, (routes[route] as RouteTerms).answers[status] ?? Shapes.Later, answer.data)
        met.add(`${route} ${status}`)
        return answer.data
      })

  const hear = (event: string, payload: unknown) => {
    const name = nameOf(event, payload)
    const shape = said[name]
    const reason = shape === undefined ? "it is not in the contract" : mismatch(shape, payload)
    if (reason !== undefined) unknown.push(`${name}: ${reason}`)
    met.add(name)
  }

  const dial: Wire["Type"]["dial"] = (handshake) =>
    Effect.tap(Device.dial(server.url, handshake), ({ socket }) =>
      Effect.sync(() => void socket.onAny((event: string, payload: unknown) => hear(event, payload)))
    )

  const ask: Wire["Type"]["ask"] = (line, event, outcome, ...payload) =>
    Effect.map(line.ask(event, ...payload), (ack) => {
      const shape = (events[event] as EventTerms).acks[outcome]
      assert.isDefined(shape)
      if (shape !== undefined) demand(`${event} ${outcome}`, shape, ack)
      met.add(`${event} ${outcome}`)
      return ack
    })

  const call = callWith({})
  const authorized = (token: string) => callWith({ authorization: `Bearer ${token}` })
  return Wire.of({
    server,
    call,
    request,
    person: (keys = Client.make()) => makePerson({ dial, ask, call }, authorized, keys),
    dial,
    ask,
    say: (line, event, payload) =>
      Effect.sync(() => {
        line.socket.emit(event, payload)
        met.add(event)
      }),
    met,
    unknown
  })
})

/** What each line received while something happened, as text and in order. */
export const overhear = <K extends string, A, E, R>(
  lines: { readonly [name in K]: Device.Line },
  action: Effect.Effect<A, E, R>
) =>
  Effect.gen(function* () {
    const named = Object.entries<Device.Line>(lines)
    // After the answer to its ping, a socket has received everything that was sent before.
    const settled = Effect.forEach(named, ([, line]) => line.settled, { concurrency: "unbounded" })
    yield* settled
    const marks = named.map(([, { heard }]) => heard.length)
    const answer = yield* action
    yield* settled
    const items = named.map(([, { heard }], index) => heard.slice(marks[index]).filter(({ event }) => !isLocal(event)))
    const by = <A>(of: (heard: ReadonlyArray<Device.Heard>) => A) =>
      Object.fromEntries(named.map(([name], index) => [name, of(items[index] ?? [])])) as { readonly [name in K]: A }
    return {
      answer,
      heard: by((heard) => heard),
      names: by((heard) => heard.map(({ event, payload }) => nameOf(event, payload)))
    }
  })

/** Routes that need an account refuse requests without a token before they check anything else. */
const refuseStrangers = (part: Part) =>
  Effect.gen(function* () {
    const { met, request } = yield* Wire
    for (const [route, terms] of Object.entries<RouteTerms>(routes)) {
      if (terms.part !== part || terms.for === "anybody") continue
      const [method = "", path = ""] = route.split(" ")
      for (const [authorization, error] of [
        [undefined, "Missing authorization header"],
        ["Basic dTpw", "Missing authorization header"],
        ["Bearer", "Missing authorization header"],
        ["Bearer not-a-token", "Invalid token"]
      ]) {
        const headers = authorization === undefined ? {} : { authorization }
        const params = Object.fromEntries([...path.matchAll(/:(\w+)/g)].map(([, name = ""]) => [name, "x"]))
        const { data, status } = yield* request(method, path, { params, headers, body: {} })
        assert.deepStrictEqual({ status, data }, { status: 401, data: { error } }, `${route} with ${authorization}`)
      }
      met.add(`${route} without a token`)
    }
  })

/** The wire of a server of its own. */
export const wireOf = (environment: Readonly<Record<string, string>> = {}): Layer.Layer<Wire> =>
  Layer.effect(Wire, make).pipe(Layer.provide(BuiltServer.layer(environment, ContractDatabase.place)))

/** The tests of a part, on one server, and two that every part has. */
export const contract = (
  part: Part,
  define: (it: Vitest.MethodsNonLive<Wire, true>) => void,
  environment: Readonly<Record<string, string>> = {}
): void => {
  layer(wireOf(environment), { excludeTestServices: true, timeout: "60 seconds" })(`the contract: ${part}`, (it) => {
    define(it)
    it.effect("refuses requests without a token where an account is needed", () => refuseStrangers(part))
    it.effect("was covered completely, and nothing else was received", () =>
      Effect.map(Wire, ({ met, unknown }) => {
        assert.deepStrictEqual(
          clausesOf(part).filter((clause) => !met.has(clause)),
          [],
          "not met"
        )
        assert.deepStrictEqual(unknown, [])
      })
    )
  })
}
