/**
 * A daemon, an agent or an app, made of what real ones are made of: signatures of Ed25519,
 * HTTP, socket.io-client and a timer.
 */
import { Data, Deferred, Effect, Schedule, type Scope } from "effect"
import { io, type Socket } from "socket.io-client"
import type * as Client from "./AccountClient.ts"
import * as Eventually from "./Eventually.ts"

/** The connection ended before an answer came, or there was none. */
export class NoAnswer extends Data.TaggedError("NoAnswer")<{ readonly cause: unknown }> {}

export interface Answer {
  readonly status: number
  readonly body: Readonly<Record<string, any>>
  readonly text: string
  readonly headers: Headers
  readonly millis: number
}

const bodyOf = (text: string): Record<string, unknown> => {
  try {
    return Object(JSON.parse(text))
  } catch {
    return {}
  }
}

/** One request over HTTP. */
export const request = (url: string, init: RequestInit = {}): Effect.Effect<Answer, NoAnswer> =>
  Effect.tryPromise({
    try: async (signal) => {
      const began = performance.now()
      const response = await fetch(url, { ...init, signal })
      const text = await response.text()
      const millis = performance.now() - began
      return { status: response.status, body: bodyOf(text), text, headers: response.headers, millis }
    },
    catch: (cause) => new NoAnswer({ cause })
  })

export const post = (
  url: string,
  payload: unknown,
  headers: Readonly<Record<string, string>> = {}
): Effect.Effect<Answer, NoAnswer> =>
  request(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(payload)
  })

/** An event of a socket: an event, or `connect`, `disconnect` and `connect_error`. */
export interface Heard {
  readonly event: string
  readonly payload: any
}

/** A socket, with everything it has received. */
export interface Line {
  readonly socket: Socket
  readonly heard: ReadonlyArray<Heard>
  /** Waits until it has received a matching event, from the `from`th one on. */
  readonly until: (isMeant: (heard: Heard) => boolean, from?: number) => Effect.Effect<Heard>
  /** Sends an event and waits for its ack. */
  readonly ask: (event: string, ...args: ReadonlyArray<unknown>) => Effect.Effect<any>
  /** The server has read everything that was sent before. */
  readonly settled: Effect.Effect<void>
}

export interface Handshake {
  readonly clientType?: string
  readonly sessionId?: unknown
  readonly machineId?: unknown
  readonly token?: unknown
}

/** How long a socket waits before it tries to come back, and how long after many attempts. */
export interface Patience {
  readonly firstMillis: number
  readonly lastMillis: number
}

/** Real ones wait from 1 to 5 s. Here the test waits too. */
const impatient: Patience = { firstMillis: 50, lastMillis: 200 }

/** A socket that begins to connect, and comes back by itself as clients do, until the scope closes. */
export const dial = (
  url: string,
  auth: Handshake,
  { firstMillis, lastMillis }: Patience = impatient
): Effect.Effect<Line, never, Scope.Scope> =>
  Effect.gen(function* () {
    const fiberId = yield* Effect.fiberId
    const heard: Array<Heard> = []
    const waiters = new Set<{ readonly isMeant: (heard: Heard) => boolean; readonly found: Deferred.Deferred<Heard> }>()
    const hear = (item: Heard) => {
      heard.push(item)
      for (const waiter of waiters) {
        if (!waiter.isMeant(item)) continue
        waiters.delete(waiter)
        Deferred.unsafeDone(waiter.found, Effect.succeed(item))
      }
    }
    const socket = yield* Effect.acquireRelease(
      Effect.sync(() =>
        io(url, {
          path: "/v1/updates",
          transports: ["websocket"],
          auth: { ...auth },
          forceNew: true,
          autoConnect: false,
          reconnectionDelay: firstMillis,
          reconnectionDelayMax: lastMillis
        })
      ),
      (socket) => Effect.sync(() => socket.disconnect())
    )
    socket.onAny((event: string, payload: unknown) => hear({ event, payload }))
    for (const event of ["connect", "disconnect", "connect_error"] as const) {
      socket.on(event, (payload?: unknown) => hear({ event, payload }))
    }
    socket.connect()
    const until: Line["until"] = (isMeant, from = 0) =>
      Effect.suspend(() => {
        const known = heard.slice(from).find(isMeant)
        if (known !== undefined) return Effect.succeed(known)
        const waiter = { isMeant, found: Deferred.unsafeMake<Heard>(fiberId) }
        waiters.add(waiter)
        return Effect.ensuring(
          Deferred.await(waiter.found),
          Effect.sync(() => waiters.delete(waiter))
        )
      })
    const ask: Line["ask"] = (event, ...args) =>
      Effect.async((resume) => void socket.emit(event, ...args, (answer: unknown) => resume(Effect.succeed(answer))))
    return { socket, heard, until, ask, settled: Effect.asVoid(ask("ping")) }
  })

/** The same once it is connected. */
export const connect = (url: string, auth: Handshake, patience?: Patience): Effect.Effect<Line, never, Scope.Scope> =>
  Effect.tap(dial(url, auth, patience), (line) => line.until(({ event }) => event === "connect"))

/** A logged-in client. */
export interface Device {
  readonly url: string
  readonly token: string
  readonly post: (path: string, payload: unknown) => Effect.Effect<Answer, NoAnswer>
  readonly get: (path: string) => Effect.Effect<Answer, NoAnswer>
  readonly remove: (path: string) => Effect.Effect<Answer, NoAnswer>
  readonly connect: (auth: Handshake, patience?: Patience) => Effect.Effect<Line, never, Scope.Scope>
}

const whilePassing = Eventually.whilePassing(({ body, status }: Answer) => status === 503 && body["retryable"] === true)

/** Logs in with a signature of the account's key. */
export const login = (url: string, account: ReturnType<typeof Client.make>): Effect.Effect<Device> =>
  Effect.gen(function* () {
    const answer = yield* whilePassing(Effect.orDie(Effect.suspend(() => post(`${url}/v1/auth`, account.challenge()))))
    if (answer.status !== 200) return yield* Effect.dieMessage(`login: ${answer.status} ${answer.text}`)
    const token = String(answer.body["token"])
    const headers = { authorization: `Bearer ${token}` }
    return {
      url,
      token,
      post: (path, payload) => post(url + path, payload, headers),
      get: (path) => request(url + path, { headers }),
      remove: (path) => request(url + path, { method: "DELETE", headers }),
      connect: (auth, patience) => connect(url, { token, ...auth }, patience)
    }
  })

/** Opens a session and answers with its id. */
export const openSession = (device: Device, tag: string): Effect.Effect<string> =>
  Effect.gen(function* () {
    const answer = yield* whilePassing(Effect.orDie(device.post("/v1/sessions", { tag, metadata: "m" })))
    if (answer.status !== 200) return yield* Effect.dieMessage(`session: ${answer.status} ${answer.text}`)
    return String(answer.body["session"].id)
  })

/** A row that sends heartbeats. */
export interface Pulse {
  readonly kind: "machine" | "session"
  readonly id: string
  /** The times that it sent, in order. */
  readonly said: ReadonlyArray<number>
  /** Sends one more heartbeat. */
  readonly beat: () => void
}

export const pulse = (line: Line, kind: Pulse["kind"], id: string): Pulse => {
  const said: Array<number> = []
  return {
    kind,
    id,
    said,
    beat: () => {
      if (!line.socket.connected) return
      const time = Date.now()
      said.push(time)
      if (kind === "machine") line.socket.volatile.emit("machine-alive", { machineId: id, time })
      else line.socket.volatile.emit("session-alive", { sid: id, time, thinking: false })
    }
  }
}

/** Beats now and then every `millis`, until the scope closes. */
export const beating = (pulse: Pulse, millis: number): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(Effect.forkScoped(Effect.repeat(Effect.sync(pulse.beat), Schedule.spaced(millis))))

/** The newest time that it sent before `atMillis`. */
export const saidBefore = ({ said }: Pulse, atMillis: number): number => said.findLast((time) => time < atMillis) ?? 0
