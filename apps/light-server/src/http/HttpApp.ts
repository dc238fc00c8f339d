/**
 * The Fastify instance: limits, error bodies, authentication.
 *
 * Routes are layers that `register` a plugin. Listening is a layer of its own
 * (`HttpListener`), built last, so that no request meets a half-built server.
 */
import cors from "@fastify/cors"
import helmet from "@fastify/helmet"
import { Context, Duration, Effect, Layer } from "effect"
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyRequest,
  type RawServerDefault
} from "fastify"
import type { IncomingMessage, ServerResponse } from "node:http"
import * as Answer from "./Answer.ts"
import { Authenticator } from "../door/Authenticator.ts"
import * as ClientAddress from "../door/ClientAddress.ts"
import * as FailureLimiter from "../door/FailureLimiter.ts"
import * as BodyLimit from "./BodyLimit.ts"
import * as Draining from "./Draining.ts"
import * as ErrorBodies from "./ErrorBodies.ts"
import { type Failure, Unauthorized } from "../Failure.ts"
import * as JsonBody from "./JsonBody.ts"
import * as Observation from "./Observation.ts"
import * as RateLimit from "../door/RateLimit.ts"
import * as SchemaCompiler from "./SchemaCompiler.ts"

declare module "fastify" {
  interface FastifyRequest {
    /** The account of the token, after `authenticate`; empty before. */
    accountId: string
  }
}

/** A Fastify instance whose routes are typed by Effect schemas. */
export type HttpRoutes = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  SchemaCompiler.EffectTypes
>

export class HttpApp extends Context.Tag("light-server/HttpApp")<
  HttpApp,
  {
    readonly fastify: FastifyInstance
    /** Adds routes, encapsulated. Their paths are whole: `/v1/machines`. */
    readonly register: (plugin: (app: HttpRoutes) => void) => Effect.Effect<void>
    /** Runs `effect` for a request; a failure is answered here, so the handler returns what this returns. */
    readonly answer: <A>(
      request: Answer.AnyRequest,
      reply: Answer.AnyReply,
      effect: Effect.Effect<A, Failure>
    ) => Promise<A | undefined>
    /** As `onRequest` of a route, before its body is read: sets `request.accountId`, or answers 401 or 429. */
    readonly authenticate: (request: FastifyRequest, reply: Answer.AnyReply) => Promise<void>
    /** True once the server has begun to end. */
    readonly isDraining: () => boolean
    /** Adds a step for the time between the end of new work and the closing of the port. It bounds itself. */
    readonly onDrain: (step: Effect.Effect<void>) => Effect.Effect<void>
    /** Begins to end: readiness says so, new work is refused, and then the steps run, one after the other. */
    readonly drain: Effect.Effect<void>
    /** Where a request comes from, also one that no route ever sees. */
    readonly addressOf: ClientAddress.ClientAddress["of"]
    readonly failureLimiter: FailureLimiter.FailureLimiter
  }
>() {}

export interface Options {
  /** Largest body of a request. A route may raise it for itself. */
  readonly bodyLimitBytes?: number
  /** Origins that browsers may call from; `*` is everybody. None: no CORS headers. */
  readonly corsOrigins?: ReadonlyArray<string>
  /** Last limit for an answer. Above every deadline of the writer, below the 10 s of a daemon. */
  readonly answerLimit?: Duration.DurationInput
  readonly rateLimits?: RateLimit.RateLimits
  /** Addresses and networks whose `X-Forwarded-For` is believed. None: nobody's. */
  readonly trustedProxies?: ReadonlyArray<string>
}

/** Pages of this server load from this server only, also over plain HTTP on the loopback. */
const contentSecurityPolicy = {
  "default-src": ["'self'"],
  "base-uri": ["'none'"],
  "form-action": ["'none'"],
  "frame-ancestors": ["'none'"],
  "object-src": ["'none'"]
}

/** The plugin allows only those that need no permission. */
const corsMethods = ["GET", "HEAD", "POST", "PATCH", "DELETE"]

const welcome = "Welcome to Happier Server!"

const create = (options: Options, isTrusted: (address: string) => boolean): FastifyInstance =>
  Fastify({
    logger: false,
    bodyLimit: options.bodyLimitBytes ?? 1_048_576,
    // A slow client holds a socket, not a place in a lane.
    requestTimeout: 30_000,
    // Unless told otherwise, Node looks for late requests every 30 s, and 10 s would be up to 40.
    http: { headersTimeout: 10_000, connectionsCheckingInterval: 2000 },
    // Above the 25 s that a long poll of socket.io stays open.
    connectionTimeout: 60_000,
    keepAliveTimeout: 72_000,
    // The refusal of this server carries Retry-After and its body.
    return503OnClosing: false,
    trustProxy: isTrusted,
    routerOptions: { maxParamLength: 200 },
    frameworkErrors: (error, request, reply) => ErrorBodies.answerUnroutable(error, request, reply),
    clientErrorHandler: ErrorBodies.answerUnparsable
  })

/** Routes that want no token and ask for a limit are counted by address, before anything else is done for them. */
const addAddressLimit = (fastify: FastifyInstance, limiter: RateLimit.RateLimiter) => {
  fastify.addHook("onRequest", async (request, reply) => {
    if (request.routeOptions.config.limitedAs !== "auth") return
    const refusal = await limiter.take(request, "auth")
    if (refusal !== undefined) {
      Answer.refuse(reply, refusal, Math.random())
      return reply
    }
  })
}

const bearer = /^Bearer +(\S+)$/i

export const make = (options: Options = {}) =>
  Effect.gen(function* () {
    const runtime = yield* Effect.runtime<never>()
    const clientAddress = ClientAddress.make(options.trustedProxies ?? [])
    const limits = options.rateLimits ?? RateLimit.defaults
    const failureLimiter = FailureLimiter.make(yield* Authenticator, limits)
    const fastify = create(options, clientAddress.isTrusted)
    const draining = Draining.add(fastify)
    // For a server that never listened: `HttpListener` closes what it opened, and waits as long as it may.
    yield* Effect.addFinalizer(() =>
      draining.isDraining()
        ? Effect.void
        : Effect.promise(() => fastify.close()).pipe(Effect.interruptible, Effect.timeoutOption("1 second"))
    )

    fastify.decorateRequest("accountId", "")
    fastify.setValidatorCompiler(SchemaCompiler.compile)
    JsonBody.add(fastify)
    BodyLimit.add(fastify)
    ErrorBodies.add(fastify, runtime)
    Observation.add(fastify, runtime)
    const limiter = RateLimit.make(fastify, limits)
    addAddressLimit(fastify, limiter)
    fastify.register(helmet, {
      contentSecurityPolicy: { useDefaults: false, directives: contentSecurityPolicy },
      // TLS ends in front of this server, and who ends it knows whether it will go on doing so.
      strictTransportSecurity: false
    })
    const origins = options.corsOrigins ?? []
    if (origins.length > 0) {
      fastify.register(cors, { origin: origins.includes("*") ? "*" : [...origins], methods: [...corsMethods] })
    }
    fastify.get("/", (_, reply) => reply.type("text/plain; charset=utf-8").send(welcome))

    const answer = Answer.make(runtime, Duration.toMillis(options.answerLimit ?? "9 seconds"))
    const identify = (request: FastifyRequest) => {
      const token = bearer.exec(request.headers.authorization ?? "")?.[1]
      return token === undefined
        ? Effect.fail(new Unauthorized({ error: "Missing authorization header" }))
        : failureLimiter.verify(request.ip, token)
    }
    const count = (request: FastifyRequest, group: RateLimit.Group) =>
      Effect.flatMap(
        Effect.promise(() => limiter.take(request, group)),
        (refusal) => refusal ?? Effect.void
      )
    /** An account is counted by itself, whatever others at its address do; who has none is counted by address. */
    const admit = (request: FastifyRequest) =>
      Effect.gen(function* () {
        const accountId = yield* Effect.tapErrorTag(identify(request), "Unauthorized", () => count(request, "auth"))
        request.accountId = accountId
        yield* count(request, RateLimit.groupOf(request))
      })
    return HttpApp.of({
      fastify,
      register: (plugin) =>
        Effect.sync(() => {
          fastify.register((app, _, done) => {
            plugin(app.withTypeProvider<SchemaCompiler.EffectTypes>())
            done()
          })
        }),
      answer,
      authenticate: async (request, reply) => {
        const isAdmitted = await answer(request, reply, Effect.as(admit(request), true))
        // Who hung up meanwhile has no answer, and without one the handler would run, for no account.
        if (isAdmitted === undefined && !reply.sent) reply.hijack()
      },
      isDraining: draining.isDraining,
      onDrain: draining.onDrain,
      drain: draining.drain,
      addressOf: clientAddress.of,
      failureLimiter
    })
  })

export const layer = (options: Options = {}): Layer.Layer<HttpApp, never, Authenticator> =>
  Layer.scoped(HttpApp, make(options))
