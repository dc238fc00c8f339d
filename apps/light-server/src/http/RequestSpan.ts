/** The span of each request: from its head to the end of its answer. */
import { Context, Effect, Exit, Option } from "effect"
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify"
import { RemoteParent } from "../tracing/RemoteParent.ts"
import * as Span from "../tracing/Span.ts"
import * as HttpMetrics from "./HttpMetrics.ts"

/** Failures of the server are errors of its span, refusals are not. */
const exitOf = (status: number) =>
  status >= 500 || status === HttpMetrics.hungUp ? Exit.fail(`status ${status}`) : Exit.void

/**
 * Adds the hooks, if spans are kept at all. The span of a caller is the parent only if the peer is trusted: anyone else
 * could decide which requests are traced, or put them into the trace of somebody else.
 */
export const add = (
  fastify: FastifyInstance,
  isTrusted: (address: string, index: number) => boolean
): Effect.Effect<void> =>
  Effect.gen(function* () {
    fastify.decorateRequest("span")
    const tracer = yield* Span.keeper
    if (tracer === undefined) return
    const remoteParent = yield* RemoteParent
    const clock = yield* Effect.clock

    const parentOf = ({ headers, raw }: FastifyRequest) => {
      const { traceparent } = headers
      if (typeof traceparent !== "string" || !isTrusted(raw.socket.remoteAddress ?? "", 0)) return Option.none()
      return Option.fromNullable(remoteParent(traceparent))
    }
    const begin = (request: FastifyRequest) => {
      // The pattern, never the path: paths hold ids of users.
      const route = request.routeOptions.url ?? "none"
      const now = clock.unsafeCurrentTimeNanos()
      const name = `${request.method} ${route}`
      const span = tracer.span(name, parentOf(request), Context.empty(), [], now, "server")
      span.attribute("http.request.method", request.method)
      span.attribute("http.route", route)
      // The id in the lines of the log.
      span.attribute("request_id", request.id)
      return span
    }
    const end = ({ span }: FastifyRequest, status: number) => {
      if (span?._tag !== "Span" || span.status._tag === "Ended") return
      span.attribute("http.response.status_code", status)
      span.end(clock.unsafeCurrentTimeNanos(), exitOf(status))
    }
    fastify.addHook("onRequest", (request, reply: FastifyReply, done) => {
      request.span = begin(request)
      reply.raw.once("close", () => {
        if (!reply.raw.writableFinished) end(request, HttpMetrics.hungUp)
      })
      done()
    })
    fastify.addHook("onResponse", (request, reply, done) => {
      end(request, reply.statusCode)
      done()
    })
  })
