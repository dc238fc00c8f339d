/**
 * socket.io on the server of Fastify.
 *
 * @since 0.1.0
 */
import { Context, Duration, Effect, Layer } from "effect"
import { Server, type Socket as AnySocket } from "socket.io"
import { HttpApp } from "../http/HttpApp.ts"
import type { Seat } from "./AccountSeats.ts"
import type { Connection } from "./Connection.ts"
import * as Dismissals from "./Dismissals.ts"
import { countRefusal } from "./RealtimeMetrics.ts"
import type { RealtimeOptions } from "./RealtimeOptions.ts"

/**
 * What `io.use` finds out about a socket and `connection` acts on.
 *
 * @category models
 * @since 0.1.0
 */
export type Verdict =
  | { readonly _tag: "Accepted"; readonly accountId: string; readonly scope: Connection["scope"] }
  /** For good: the client is told why and does not come back. */
  | { readonly _tag: "Refused"; readonly message: string }

/**
 * @category models
 * @since 0.1.0
 */
export interface ServerEvents {
  readonly error: (refusal: { readonly message: string }) => void
  readonly update: (update: object) => void
  readonly ephemeral: (ephemeral: object) => void
  readonly "rpc-registered": (registration: { readonly method: string }) => void
  readonly "rpc-unregistered": (registration: { readonly method: string }) => void
  readonly "rpc-error": (refusal: { readonly type: "register" | "unregister"; readonly error: string }) => void
  readonly "rpc-request": (
    request: { readonly method: string; readonly params: unknown },
    answer: (result?: unknown) => void
  ) => void
}

/**
 * Any event may come in: which ones are known is up to `EventRegistry`.
 *
 * @category models
 * @since 0.1.0
 */
export interface ClientEvents {
  readonly [event: string]: (...args: Array<unknown>) => void
}

/**
 * What is known of a socket between its handshake and its end.
 *
 * @category models
 * @since 0.1.0
 */
export interface SocketState {
  verdict?: Verdict
  /** The count of `dismissals` when the verification began. */
  dismissalCount?: number
  /** Taken with a verdict that accepts. */
  seat?: Seat
}

/**
 * @category models
 * @since 0.1.0
 */
export type Socket = AnySocket<ClientEvents, ServerEvents, Record<never, never>, SocketState>

/**
 * @category models
 * @since 0.1.0
 */
export type Io = Server<ClientEvents, ServerEvents, Record<never, never>, SocketState>

/**
 * @category services
 * @since 0.1.0
 */
export class SocketServer extends Context.Tag("light-server/SocketServer")<
  SocketServer,
  {
    readonly io: Io
    /** True from the first moment of the shutdown on. */
    readonly isDraining: () => boolean
    readonly dismissals: Dismissals.Dismissals
  }
>() {}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: RealtimeOptions) =>
  Effect.gen(function* () {
    const { fastify } = yield* HttpApp
    let isDraining = false
    // Before the upgrade: a refused request costs nothing, and clients come back. Transports that have not
    // said yet who they are count too, or they would be the ones without a limit.
    const turnedAway = () =>
      isDraining
        ? "draining"
        : io.engine.clientsCount >= options.socketLimit + options.handshakeLimit
          ? "overload"
          : undefined
    const io: Io = new Server(fastify.server, {
      path: options.path,
      transports: ["polling", "websocket"],
      pingInterval: Duration.toMillis(options.pingInterval),
      pingTimeout: Duration.toMillis(options.pingTimeout),
      connectTimeout: Duration.toMillis(options.connectTimeout),
      maxHttpBufferSize: options.payloadBytesMax,
      perMessageDeflate: false,
      httpCompression: false,
      serveClient: false,
      allowRequest: (_, decide) => {
        const reason = turnedAway()
        if (reason !== undefined) countRefusal(reason)
        decide(null, reason === undefined)
      },
      ...(options.origins.length > 0
        ? { cors: { origin: options.origins.includes("*") ? "*" : [...options.origins] } }
        : {})
    })
    // `io.close` would close the server of Fastify too, and `disconnectSockets` would tell clients to stay
    // away. Closing the transports does neither: they come back, to the next process.
    const close = () => {
      isDraining = true
      io.engine.close()
    }
    // An open websocket is a connection that the close of Fastify would wait for.
    fastify.addHook("preClose", (done) => {
      close()
      done()
    })
    yield* Effect.addFinalizer(() => Effect.sync(close))
    return SocketServer.of({ io, isDraining: () => isDraining, dismissals: Dismissals.make(io) })
  })

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: RealtimeOptions): Layer.Layer<SocketServer, never, HttpApp> =>
  Layer.scoped(SocketServer, make(options))
