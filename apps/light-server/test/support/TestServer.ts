/**
 * The realtime part of the server on a free port of the loopback, and clients
 * of it. Only its edges are replaced: the database, presence and tokens.
 */
import { Context, Effect, Fiber, Layer, Mailbox, TestClock, type Scope } from "effect"
import type { InjectOptions, LightMyRequestResponse } from "fastify"
import type { AddressInfo } from "node:net"
import type { Presence } from "../../src/entities/Presence.ts"
import type { Writer } from "presence-effect/writer/Writer"
import { io, type Socket } from "socket.io-client"
import * as ChangeFeed from "../../src/changes/ChangeFeed.ts"
import * as ChangeRoutes from "../../src/changes/ChangeRoutes.ts"
import type { DatabaseReader } from "../../src/database/DatabaseReader.ts"
import { Authenticator } from "../../src/door/Authenticator.ts"
import { Unauthorized } from "../../src/Failure.ts"
import * as HttpApp from "../../src/http/HttpApp.ts"
import * as MachineEvents from "../../src/machines/MachineEvents.ts"
import * as MachineRoutes from "../../src/machines/MachineRoutes.ts"
import * as MachineLists from "../../src/machines/MachineLists.ts"
import * as MachineRegistry from "../../src/machines/MachineRegistry.ts"
import * as MachineStore from "../../src/machines/MachineStore.ts"
import * as MessageBatchRoutes from "../../src/messages/MessageBatchRoutes.ts"
import * as MessageEvents from "../../src/messages/MessageEvents.ts"
import * as MessageLog from "../../src/messages/MessageLog.ts"
import * as MessageRoutes from "../../src/messages/MessageRoutes.ts"
import * as MessageStore from "../../src/messages/MessageStore.ts"
import * as Emitter from "../../src/realtime/sending/Emitter.ts"
import * as EventRegistry from "../../src/realtime/events/EventRegistry.ts"
import * as OnlineSessions from "../../src/entities/OnlineSessions.ts"
import * as Ownership from "../../src/entities/Ownership.ts"
import * as RealtimeApp from "../../src/realtime/RealtimeApp.ts"
import * as RealtimeOptions from "../../src/realtime/RealtimeOptions.ts"
import * as SocketServer from "../../src/realtime/SocketServer.ts"
import * as SocketLookup from "../../src/realtime/sending/SocketLookup.ts"
import * as ArchiveRoutes from "../../src/sessions/ArchiveRoutes.ts"
import * as SessionEvents from "../../src/sessions/SessionEvents.ts"
import * as SessionRoutes from "../../src/sessions/SessionRoutes.ts"
import * as SessionLists from "../../src/sessions/SessionLists.ts"
import * as SessionRegistry from "../../src/sessions/SessionRegistry.ts"
import * as SessionStore from "../../src/sessions/SessionStore.ts"
import * as UsageEvents from "../../src/usage/UsageEvents.ts"
import * as UsageLog from "../../src/usage/UsageLog.ts"
import * as UsageRoutes from "../../src/usage/UsageRoutes.ts"
import * as UsageStore from "../../src/usage/UsageStore.ts"
import * as PresenceProbe from "./PresenceProbe.ts"
import * as TestDatabase from "./TestDatabase.ts"

/** The token of account `a1` is `token of a1`. */
export const tokenOf = (accountId: string) => `token-of-${accountId}`

const authenticator = Layer.succeed(Authenticator, {
  verify: (token) =>
    token.startsWith("token-of-")
      ? Effect.succeed(token.slice("token-of-".length))
      : Effect.fail(new Unauthorized({ error: "Invalid token" }))
})

/** The server over edges of the test's own. Extra events are registered before sockets are accepted. */
export const layerOver = <A, E>(
  edges: Layer.Layer<A | DatabaseReader | Writer | Presence, E>,
  options: Partial<RealtimeOptions.RealtimeOptions> = {},
  extra: Layer.Layer<never, never, EventRegistry.EventRegistry | SocketLookup.SocketLookup> = Layer.empty,
  door: { readonly authenticator?: Layer.Layer<Authenticator>; readonly http?: HttpApp.Options } = {}
) => {
  const knobs = { ...RealtimeOptions.defaults, ...options }
  const features = Layer.mergeAll(
    // Tests of a refusal run on virtual time, which does not advance while a request waits.
    MachineRoutes.layer({ registerWithin: 0 }),
    MachineEvents.layer,
    SessionRoutes.layer,
    ArchiveRoutes.layer,
    SessionEvents.layer,
    MessageRoutes.layer,
    MessageBatchRoutes.layer,
    MessageEvents.layer,
    ChangeRoutes.layer,
    UsageRoutes.layer,
    UsageEvents.layer,
    extra
  ).pipe(
    Layer.provide(
      Layer.mergeAll(
        MachineRegistry.layer,
        MachineLists.layer,
        SessionRegistry.layer,
        SessionLists.layer,
        MessageLog.layer,
        ChangeFeed.layer,
        UsageLog.layer
      )
    ),
    Layer.provide(Layer.mergeAll(MachineStore.layer, SessionStore.layer, MessageStore.layer, UsageStore.layer))
  )
  const base = Layer.mergeAll(
    Emitter.layer(knobs),
    SocketLookup.layer,
    EventRegistry.layer,
    Ownership.layer(knobs)
  ).pipe(
    Layer.provideMerge(SocketServer.layer(knobs)),
    Layer.provideMerge(HttpApp.layer(door.http)),
    Layer.provideMerge(
      Layer.merge(Layer.provideMerge(OnlineSessions.layer, edges), door.authenticator ?? authenticator)
    )
  )
  return listening.pipe(
    Layer.provideMerge(RealtimeApp.layer(knobs)),
    Layer.provideMerge(features),
    Layer.provideMerge(base)
  )
}

/** The server over a database and a presence in memory. */
export const layerWith = (
  options?: Partial<RealtimeOptions.RealtimeOptions>,
  extra?: Layer.Layer<never, never, EventRegistry.EventRegistry | SocketLookup.SocketLookup>
) => layerOver(Layer.merge(TestDatabase.layer, PresenceProbe.layer), options, extra)

export class TestServer extends Context.Tag("test/TestServer")<
  TestServer,
  {
    readonly url: string
    readonly inject: (request: InjectOptions) => Effect.Effect<LightMyRequestResponse>
    /** A client that is not connected yet. */
    readonly client: (auth: Record<string, unknown>, options?: object) => Effect.Effect<Client, never, Scope.Scope>
    /** A client that is connected, and whose connection the server has handled. */
    readonly connect: (auth: Record<string, unknown>) => Effect.Effect<Client, never, Scope.Scope>
  }
>() {}

export interface Client {
  readonly socket: Socket
  /** The next event of that name, in order. Waits for it. */
  readonly next: (event: string) => Effect.Effect<unknown>
  /** Events of that name that no test has taken yet, once the server has answered everything before. */
  readonly rest: (event: string) => Effect.Effect<ReadonlyArray<unknown>>
  /** Resolves when the server has answered everything sent before. */
  readonly flush: Effect.Effect<void>
  readonly emit: (event: string, ...args: ReadonlyArray<unknown>) => void
  readonly ask: (event: string, ...args: ReadonlyArray<unknown>) => Effect.Effect<unknown>
}

const makeClient = (url: string, auth: Record<string, unknown>, options: object) =>
  Effect.gen(function* () {
    const mailboxes = new Map<string, Mailbox.Mailbox<unknown>>()
    const mailbox = (event: string) => {
      const found = mailboxes.get(event)
      if (found !== undefined) return found
      const made = Effect.runSync(Mailbox.make<unknown>())
      mailboxes.set(event, made)
      return made
    }
    const socket = yield* Effect.acquireRelease(
      Effect.sync(() =>
        io(url, {
          path: "/v1/updates",
          transports: ["websocket"],
          auth,
          forceNew: true,
          autoConnect: false,
          reconnectionDelay: 10,
          reconnectionDelayMax: 20,
          ...options
        })
      ),
      (socket) => Effect.sync(() => socket.disconnect())
    )
    socket.onAny((event: string, payload: unknown) => mailbox(event).unsafeOffer(payload))
    for (const event of ["connect", "disconnect", "connect_error"] as const) {
      socket.on(event, (detail?: unknown) => mailbox(event).unsafeOffer(detail))
    }
    // The reason why a transport closed, whether the client stays away or comes back.
    socket.io.on("close", (reason) => void mailbox("transport").unsafeOffer(reason))
    const ask = (event: string, ...args: ReadonlyArray<unknown>) =>
      Effect.async<unknown>((resume) => {
        socket.emit(event, ...args, (answer: unknown) => resume(Effect.succeed(answer)))
      })
    const flush = Effect.asVoid(ask("ping"))
    return {
      socket,
      ask,
      flush,
      emit: (event: string, ...args: ReadonlyArray<unknown>) => void socket.emit(event, ...args),
      next: (event: string) => Effect.orDie(mailbox(event).take),
      rest: (event: string) =>
        flush.pipe(
          Effect.zipRight(mailbox(event).clear),
          Effect.orDie,
          Effect.map((chunk) => Array.from(chunk))
        )
    } satisfies Client
  })

export const listening: Layer.Layer<TestServer, never, HttpApp.HttpApp> = Layer.scoped(
  TestServer,
  Effect.gen(function* () {
    const { fastify } = yield* HttpApp.HttpApp
    yield* Effect.acquireRelease(
      Effect.promise(() => fastify.listen({ host: "127.0.0.1", port: 0 })),
      () => Effect.promise(() => fastify.close())
    )
    const url = `http://127.0.0.1:${(fastify.server.address() as AddressInfo).port}`
    const client: TestServer["Type"]["client"] = (auth, options = {}) => makeClient(url, auth, options)
    return TestServer.of({
      url,
      client,
      inject: (request) => Effect.promise(() => fastify.inject(request)),
      connect: (auth) =>
        Effect.gen(function* () {
          const connected = yield* client(auth)
          connected.socket.connect()
          yield* connected.next("connect")
          yield* connected.flush
          return connected
        })
    })
  })
)

/** An app of the account. */
export const app = (accountId: string) => ({ token: tokenOf(accountId), clientType: "user-scoped" })

/** An agent of the account. */
export const agent = (accountId: string, sessionId: string) => ({
  token: tokenOf(accountId),
  clientType: "session-scoped",
  sessionId
})

/** A daemon of the account. */
export const daemon = (accountId: string, machineId: string) => ({
  token: tokenOf(accountId),
  clientType: "machine-scoped",
  machineId
})

export const authorized = (accountId: string) => ({ authorization: `Bearer ${tokenOf(accountId)}` })

/** The ack of an event whose first attempt fails temporarily: none at first, then that of the next attempt. */
export const askHeld = (client: Client, event: string, payload: object) =>
  Effect.gen(function* () {
    const asked = yield* Effect.fork(client.ask(event, payload))
    yield* Effect.yieldNow()
    yield* client.flush
    if (asked.unsafePoll() !== null) return yield* Effect.dieMessage(`${event} was answered at once`)
    yield* TestClock.adjust("1 second")
    return yield* Fiber.join(asked)
  })

/** An app and an agent of `a1`, and an app of `a2`. */
export const audience = Effect.gen(function* () {
  const server = yield* TestServer
  const watching = yield* server.connect(app("a1"))
  const working = yield* server.connect(agent("a1", "s1"))
  const foreign = yield* server.connect(app("a2"))
  return { watching, working, foreign }
})
