/**
 * Opens the port, after everything else is built, and closes it before
 * anything else ends.
 */
import { Context, type Duration, Effect, Layer, Option, Schema } from "effect"
import net, { type AddressInfo } from "node:net"
import * as FinalizerLimit from "../FinalizerLimit.ts"
import { HttpApp } from "./HttpApp.ts"
import * as LoopbackTwin from "./LoopbackTwin.ts"
import * as SubPath from "./SubPath.ts"

/** The port could not be opened. */
export class ListenFailed extends Schema.TaggedError<ListenFailed>("light-server/ListenFailed")("ListenFailed", {
  code: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `cannot listen (${this.code}): ${this.detail}`
  }
}

export class HttpListener extends Context.Tag("light-server/HttpListener")<
  HttpListener,
  {
    /** The port that was opened: the system chose it when 0 was asked for. */
    readonly port: number
    readonly url: string
  }
>() {}

const listenFailed = (host: string, port: number, cause: unknown) =>
  new ListenFailed({
    code: cause instanceof Error && "code" in cause ? String(cause.code) : "LISTEN",
    detail: `${host}:${port}: ${cause instanceof Error ? cause.message : String(cause)}`
  })

/** Opens the port for a moment. Fails as the listener itself would. */
export const demandFree = ({ host, port }: { readonly host: string; readonly port: number }) =>
  Effect.async<void, ListenFailed>((resume) => {
    const server = net.createServer()
    server.once("error", (cause) => resume(Effect.fail(listenFailed(host, port, cause))))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resume(Effect.void)))
  })

/**
 * Listens until its scope closes. Then the steps of `HttpApp.drain` run, the port
 * closes, and requests under way are waited for, at most `closeTimeout`; what is
 * still open after that is cut off.
 */
export const layer = (options: {
  readonly host: string
  readonly port: number
  readonly closeTimeout: Duration.DurationInput
  /** Path below which requests are served too, `/happier`. Empty: only at the root. */
  readonly subPath?: string
}): Layer.Layer<HttpListener, ListenFailed, HttpApp> =>
  Layer.scoped(
    HttpListener,
    Effect.gen(function* () {
      const { drain, fastify } = yield* HttpApp
      // Last of all listeners that are added, so it comes before Fastify and socket.io.
      SubPath.serve(fastify.server, options.subPath ?? "")
      const isPair = options.host === "localhost"
      const twin = LoopbackTwin.make(fastify.server)
      const close = Effect.promise(() => Promise.all([fastify.close(), twin.close()])).pipe(
        FinalizerLimit.within(options.closeTimeout),
        Effect.filterOrElse(Option.isSome, () =>
          Effect.logWarning("Requests were still under way, their connections are cut").pipe(
            Effect.annotateLogs("code", "CLOSE_TIMEOUT"),
            Effect.zipRight(Effect.sync(() => fastify.server.closeAllConnections()))
          )
        )
      )
      yield* Effect.acquireRelease(
        Effect.tryPromise({
          try: async () => {
            const host = isPair ? "127.0.0.1" : options.host
            await fastify.listen({ host, port: options.port, backlog: 511 })
            if (isPair) await twin.listen((fastify.server.address() as AddressInfo).port)
          },
          catch: (cause) => listenFailed(options.host, options.port, cause)
        }),
        () => Effect.zipRight(drain, close)
      )
      const { port } = fastify.server.address() as AddressInfo
      const host = options.host.includes(":") ? `[${options.host}]` : options.host
      return HttpListener.of({ port, url: `http://${host}:${port}` })
    })
  )
