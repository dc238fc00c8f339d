/**
 * The Fastify instance: limits, error bodies, authentication.
 *
 * Routes are layers that `register` a plugin. Listening is a layer of its own
 * (`HttpListener`), built last, so that no request meets a half-built server.
 */
import cors from "@fastify/cors"
import helmet from "@fastify/helmet"
import { Context, Duration, Effect, Layer, Option, Runtime, type Tracer } from "effect"
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type RawServerDefault
} from "fastify"
import type { IncomingMessage, ServerResponse } from "node:http"
import { performance } from "node:perf_hooks"
import * as Answer from "./Answer.ts"
import { Authenticator } from "../door/Authenticator.ts"
import * as ClientAddress from "../door/ClientAddress.ts"
import * as FailureLimiter from "../door/FailureLimiter.ts"
import * as BodyLimit from "./BodyLimit.ts"
import * as ConnectionLimit from "./ConnectionLimit.ts"
import * as CostMeter from "../door/CostMeter.ts"
import * as Draining from "./Draining.ts"
import * as ErrorBodies from "./ErrorBodies.ts"
import * as FinalizerLimit from "../FinalizerLimit.ts"
import { Unauthorized } from "../Failure.ts"
import type { Failure } from "./FailureTable.ts"
import * as HttpKnobs from "./HttpKnobs.ts"
import * as JsonBody from "./JsonBody.ts"
import * as Observation from "./Observation.ts"
import * as LoopDelay from "../door/LoopDelay.ts"
import * as OutgoingBytes from "./OutgoingBytes.ts"
import * as RateLimit from "../door/RateLimit.ts"
import { limitShare } from "../replicas/ReplicaBus.ts"
import * as RequestSpan from "./RequestSpan.ts"
import * as SchemaCompiler from "./SchemaCompiler.ts"
import * as Shedding from "./Shedding.ts"
import * as TruncationHeader from "./TruncationHeader.ts"
import * as WebApp from "./WebApp.ts"
import * as WelcomePage from "./WelcomePage.ts"

declare module "fastify" {
  interface FastifyRequest {
    /** The account of the token, after `authenticate`; empty before. */
    accountId: string
    /** The cost of the request until now. */
    cost: CostMeter.CostMeter
    serializationBeganMillis: number | undefined
    /** The parent of the spans of its work; `undefined` while no spans are kept. */
    span: Tracer.AnySpan | undefined
  }
  interface FastifyContextConfig {
    /**
     * `auth`: counted by address, before anything else. Otherwise for routes whose method does not show what they do.
     */
    limitedAs?: RateLimit.RequestGroup
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
    /** Largest body of a request that stores messages. */
    readonly messageLimitBytes: number
    /** Adds a step for the time between the end of new work and the closing of the port. It bounds itself. */
    readonly onDrain: (step: Effect.Effect<void>) => Effect.Effect<void>
    /** Begins the shutdown: readiness fails, new work is refused, and then the steps run, one after the other. */
    readonly drain: Effect.Effect<void>
    /** Where a request comes from, also for requests that do not reach a route. */
    readonly addressOf: ClientAddress.ClientAddress["of"]
    readonly failureLimiter: FailureLimiter.FailureLimiter
  }
>() {}

export interface Options {
  /** Largest body of a request with an account. A route may raise it for itself. */
  readonly bodyLimitBytes?: number
  /** Largest body of a request that stores messages, unless the limit of all is larger. */
  readonly messageLimitBytes?: number
  /** The loop delay above which large reads are refused. Zero: nothing is refused because of it. */
  readonly shedDelayMillis?: number
  /** The source of the loop delay. Measured unless given. */
  readonly loopDelay?: LoopDelay.LoopDelay
  /** What the cost of a request is measured with. Real time and the processor time of the process unless given. */
  readonly costClock?: CostMeter.CostClock
  readonly outgoing?: OutgoingBytes.OutgoingLimits
  readonly connections?: ConnectionLimit.ConnectionLimits
  /** Folder of a built web app. */
  readonly webAppDirectory?: string | undefined
  /** Whether a browser that opens `/` is led to the status page. Never, unless given. */
  readonly leadsToStatus?: (request: IncomingMessage) => boolean
  /** Origins that browsers may call from; `*` allows all. None: no CORS headers. */
  readonly corsOrigins?: ReadonlyArray<string>
  /** Last limit for an answer. Above every deadline of the writer, below the 10 s of a daemon. */
  readonly answerLimit?: Duration.DurationInput
  readonly rateLimits?: RateLimit.RateLimits
  /** Addresses and networks whose `X-Forwarded-For` is trusted. None: the header is ignored. */
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

/** The plugin allows only methods that need no preflight. */
const corsMethods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

const create = (options: Options, isTrusted: ClientAddress.ClientAddress["isTrusted"]): FastifyInstance =>
  Fastify({
    logger: false,
    bodyLimit: options.bodyLimitBytes ?? HttpKnobs.knobs.bodyLimitBytes.fallback,
    // A slow client holds a socket, not a place in a lane.
    requestTimeout: 30_000,
    // By default Node checks for late requests every 30 s, and a limit of 10 s would be up to 40.
    http: { headersTimeout: 10_000, connectionsCheckingInterval: 2000 },
    // Above the 25 s that a long poll of socket.io stays open.
    connectionTimeout: 60_000,
    keepAliveTimeout: 72_000,
    // This server's own refusal has Retry-After and its body.
    return503OnClosing: false,
    trustProxy: isTrusted,
    // A push token of 4096 characters, or a key of 512, percent-encoded. Node bounds the whole head at 16 KiB.
    routerOptions: { maxParamLength: 12_288 },
    frameworkErrors: (error, request, reply) => ErrorBodies.answerUnroutable(error, request, reply),
    clientErrorHandler: ErrorBodies.answerUnparsable
  })

/** Adds the rate limits of requests without an account, counted by address, and charges what each request cost. */
const addLimits = (
  fastify: FastifyInstance,
  limiter: RateLimit.RateLimiter,
  keyOf: (request: FastifyRequest) => string,
  run: Answer.Run
) => {
  const take = async (request: FastifyRequest, reply: FastifyReply, group: RateLimit.RequestGroup) => {
    const refusal = await run(Effect.flip(limiter.take(group, keyOf(request))).pipe(Effect.option))
    if (Option.isNone(refusal)) return
    Answer.refuse(reply, refusal.value, Math.random())
    return reply
  }
  // Before any other work on it.
  fastify.addHook("onRequest", async (request, reply) =>
    request.routeOptions.config.limitedAs === "auth" ? take(request, reply, "auth") : undefined
  )
  // An account is verified by now, if there is one.
  fastify.addHook("preParsing", async (request, reply, payload) => {
    if (request.accountId !== "" || request.routeOptions.config.limitedAs === "auth") return payload
    await take(request, reply, "open")
    return payload
  })
  fastify.addHook("preSerialization", (request, _, payload, done) => {
    request.serializationBeganMillis = performance.now()
    done(null, payload)
  })
  fastify.addHook("onSend", (request, _, payload, done) => {
    const began = request.serializationBeganMillis
    if (began !== undefined) request.cost.addMillis(performance.now() - began)
    done(null, payload)
  })
  fastify.addHook("onResponse", async (request) => {
    const points = request.cost.points()
    if (points === 0) return
    const isKnown = request.accountId !== ""
    const group = isKnown ? groupOf(request) : "open"
    await run(limiter.charge(group, isKnown ? request.accountId : keyOf(request), points))
  })
}

/** The group of a request whose account is known. */
const groupOf = ({ method, routeOptions }: FastifyRequest): RateLimit.RequestGroup =>
  routeOptions.config.limitedAs ?? (method === "GET" || method === "HEAD" ? "reads" : "control")

/** Headers that scripts of a browser may read: when to come back, and that a list was cut. */
const exposedHeaders = ["retry-after", TruncationHeader.header]

const addCors = (fastify: FastifyInstance, origins: ReadonlyArray<string>) => {
  if (origins.length === 0) return
  const origin = origins.includes("*") ? "*" : [...origins]
  fastify.register(cors, { origin, methods: [...corsMethods], exposedHeaders })
}

const addHelmet = (fastify: FastifyInstance) => {
  fastify.register(helmet, {
    contentSecurityPolicy: { useDefaults: false, directives: contentSecurityPolicy },
    // TLS is terminated by the proxy in front of this server, which decides about HSTS.
    strictTransportSecurity: false
  })
}

/** Logged once: otherwise every request would log it. */
const makeProxyWarning = (run: Answer.Run) => {
  let isSaid = false
  return (peer: string) => {
    if (isSaid) return
    isSaid = true
    void run(
      Effect.logWarning(
        "X-Forwarded-For comes from a peer that is not trusted, so its clients share one address; " +
          "name it in HAPPIER_TRUSTED_PROXIES if it is your proxy"
      ).pipe(Effect.annotateLogs({ code: "PROXY_UNTRUSTED", peer }))
    )
  }
}

const bearer = /^Bearer +(\S+)$/i

/** The token of a request, or an empty text. */
export const tokenOf = ({ headers }: Pick<FastifyRequest, "headers">): string =>
  bearer.exec(headers.authorization ?? "")?.[1] ?? ""

/** Everything that runs before the route of a request, in this order: browsers must be able to read the refusals. */
const addDoor = (fastify: FastifyInstance, options: Options, addHooks: () => void) => {
  addCors(fastify, options.corsOrigins ?? [])
  addHelmet(fastify)
  fastify.after(addHooks)
}

export const make = (options: Options = {}) =>
  Effect.gen(function* () {
    const runtime = yield* Effect.runtime<never>()
    const run: Answer.Run = Runtime.runPromise(runtime)
    const clientAddress = ClientAddress.make(options.trustedProxies ?? [], makeProxyWarning(run))
    const limits = options.rateLimits ?? RateLimit.defaults
    const limiter = RateLimit.make(limits, yield* limitShare)
    const failureLimiter = FailureLimiter.make(yield* Authenticator, limiter, limits.keyCapacity)
    const loopDelay = options.loopDelay ?? (yield* LoopDelay.make)
    const fastify = create(options, clientAddress.isTrusted)
    const draining = Draining.make()
    // For a server that never listened: `HttpListener` closes what it opened, and waits as long as it is allowed to.
    yield* Effect.addFinalizer(() =>
      draining.isDraining()
        ? Effect.void
        : Effect.promise(() => fastify.close()).pipe(FinalizerLimit.within("1 second"))
    )

    const addressOf = (request: FastifyRequest) => clientAddress.of(request.raw)
    fastify.decorateRequest("accountId", "")
    fastify.decorateRequest("serializationBeganMillis")
    // Set by the first hook of each request.
    fastify.decorateRequest("cost")
    fastify.addHook("onRequest", (request, _, done) => {
      request.cost = CostMeter.make(options.costClock)
      done()
    })
    fastify.setValidatorCompiler(SchemaCompiler.compile)
    JsonBody.add(fastify)
    Observation.add(fastify, runtime)
    yield* RequestSpan.add(fastify, clientAddress.isTrusted)
    ConnectionLimit.add(fastify.server, options.connections ?? ConnectionLimit.defaults, (address) =>
      clientAddress.isTrusted(address, 0)
    )
    addDoor(fastify, options, () => {
      BodyLimit.addPatience(fastify)
      Draining.add(fastify, draining)
      const shedding = Shedding.add(fastify, runtime, loopDelay, options.shedDelayMillis ?? Shedding.delayMillisDefault)
      addLimits(fastify, limiter, (request) => ClientAddress.keyOf(addressOf(request)), run)
      OutgoingBytes.add(fastify, runtime, shedding, addressOf, options.outgoing)
      BodyLimit.add(fastify)
    })
    const webApp = options.webAppDirectory === undefined ? WebApp.none : WebApp.add(fastify, options.webAppDirectory)
    if (options.webAppDirectory === undefined) {
      WelcomePage.add(fastify, options.leadsToStatus ?? (() => false))
    } else if (!WebApp.isBuilt(options.webAppDirectory)) {
      yield* Effect.logWarning("The folder of the web app holds no index.html").pipe(
        Effect.annotateLogs({ code: "WEB_APP_MISSING", directory: options.webAppDirectory })
      )
    }
    ErrorBodies.add(fastify, runtime, webApp)

    const answer = Answer.make(runtime, Duration.toMillis(options.answerLimit ?? "9 seconds"))
    const identify = (request: FastifyRequest) => {
      const token = tokenOf(request)
      return token === ""
        ? Effect.fail(new Unauthorized({ error: "Missing authorization header" }))
        : failureLimiter.verify(addressOf(request), token, request.headers["user-agent"])
    }
    /** An account has its own count, independent of its address; requests without an account are counted by address. */
    const admit = (request: FastifyRequest) =>
      Effect.gen(function* () {
        const accountId = yield* identify(request).pipe(
          Effect.tapErrorTag("Unauthorized", () => limiter.take("auth", ClientAddress.keyOf(addressOf(request)))),
          Effect.tapErrorTag("AccountDisabled", ({ accountId }) => limiter.take(groupOf(request), accountId))
        )
        request.accountId = accountId
        yield* limiter.take(groupOf(request), accountId)
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
        // A client that disconnected meanwhile gets no answer, and without one the handler would run, for no account.
        if (isAdmitted === undefined && !reply.sent) reply.hijack()
      },
      messageLimitBytes: Math.max(options.messageLimitBytes ?? BodyLimit.messageBytesMax, options.bodyLimitBytes ?? 0),
      isDraining: draining.isDraining,
      onDrain: draining.onDrain,
      drain: draining.drain,
      addressOf: clientAddress.of,
      failureLimiter
    })
  })

export const layer = (options: Options = {}): Layer.Layer<HttpApp, never, Authenticator> =>
  Layer.scoped(HttpApp, make(options))
