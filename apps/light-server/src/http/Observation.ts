/** Counts and logs the outcome of each request. */
import { Effect, Runtime } from "effect"
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify"
import * as HttpMetrics from "./HttpMetrics.ts"

const report = (answered: HttpMetrics.Answered) => {
  const { method, route, seconds, status } = answered
  const level = status >= 500 ? Effect.logWarning : status >= 400 ? Effect.logInfo : Effect.logDebug
  HttpMetrics.countRequest(answered)
  return level("Request answered").pipe(Effect.annotateLogs({ code: "HTTP_REQUEST", method, route, status, seconds }))
}

/**
 * Counts each request once: with its status when its answer is complete, or as
 * hung up when its connection ends before that.
 */
export const add = (fastify: FastifyInstance, runtime: Runtime.Runtime<never>): void => {
  const observe = (request: FastifyRequest, reply: FastifyReply, status: number) => {
    // The pattern, never the path: paths hold ids, and a label must not grow with traffic.
    const route = request.routeOptions.url ?? "none"
    Runtime.runFork(runtime)(report({ method: request.method, route, status, seconds: reply.elapsedTime / 1000 }))
  }
  fastify.addHook("onRequest", (request, reply, done) => {
    reply.raw.once("close", () => {
      if (!reply.raw.writableFinished) observe(request, reply, HttpMetrics.hungUp)
    })
    done()
  })
  fastify.addHook("onResponse", (request, reply, done) => {
    observe(request, reply, reply.statusCode)
    done()
  })
}
