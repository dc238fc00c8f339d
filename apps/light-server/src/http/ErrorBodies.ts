/**
 * The body of every failure that our routes do not answer themselves: Fastify,
 * its router, the parser of Node and a handler that throws each have another
 * format.
 */
import { Effect, Runtime } from "effect"
import type { FastifyError, FastifyInstance } from "fastify"
import { performance } from "node:perf_hooks"
import type { Duplex } from "node:stream"
import * as Answer from "./Answer.ts"
import { RequestDefect, RequestUnreadable, RouteUnknown } from "../Failure.ts"
import type { Failure } from "./FailureTable.ts"
import * as HttpMetrics from "./HttpMetrics.ts"
import * as RawAnswer from "./RawAnswer.ts"
import type { WebApp } from "./WebApp.ts"

/** The texts of Fastify repeat the path, which may hold a secret. */
const unroutable: { readonly [code: string]: string } = {
  FST_ERR_BAD_URL: "the path cannot be decoded",
  FST_ERR_MAX_PARAM_LENGTH: "a part of the path is too long"
}

/** The errors of Node's parser. */
const unparsable: { readonly [code: string]: RequestUnreadable } = {
  ERR_HTTP_REQUEST_TIMEOUT: new RequestUnreadable({ status: 408, message: "the request did not arrive in time" }),
  HPE_HEADER_OVERFLOW: new RequestUnreadable({ status: 431, message: "the headers are too long" }),
  HPE_CHUNK_EXTENSIONS_OVERFLOW: new RequestUnreadable({ status: 413, message: "the chunks are too long" })
}

const noRequest = new RequestUnreadable({ status: 400, message: "this is no request of HTTP" })

const failureOf = ({ code, message, statusCode = 500 }: FastifyError): Failure =>
  statusCode >= 400 && statusCode < 500
    ? new RequestUnreadable({
        status: statusCode,
        message: unroutable[code] ?? message,
        ...(code === "BODY_SYNTAX" ? { error: "SyntaxError" } : {})
      })
    : new RequestDefect()

/**
 * Answers a request that the router could not read. No hook runs for it, so it
 * is counted here.
 */
export const answerUnroutable = (
  error: FastifyError,
  request: { readonly method: string },
  reply: Answer.AnyReply
): void => {
  const began = performance.now()
  reply.raw.once("close", () => {
    const seconds = (performance.now() - began) / 1000
    HttpMetrics.countRequest({ method: request.method, route: "none", status: reply.raw.statusCode, seconds })
  })
  Answer.refuse(reply, failureOf(error), 0)
}

/** Answers a connection that received something other than an HTTP request, and closes it. */
export const answerUnparsable = (error: Error & { readonly code?: string }, socket: Duplex): void => {
  // Reset by the client: the answer could not be read.
  if (error.code === "ECONNRESET" || socket.destroyed) return
  const answer = RawAnswer.of(unparsable[error.code ?? ""] ?? noRequest, 0)
  HttpMetrics.countRequest({ method: "none", route: "none", status: answer.status, seconds: 0 })
  RawAnswer.send(socket, answer)
}

/** Adds the bodies of unknown routes, of requests that do not fit, and of defects. */
export const add = (fastify: FastifyInstance, runtime: Runtime.Runtime<never>, webApp: WebApp): void => {
  fastify.setNotFoundHandler((request, reply) => {
    if (!webApp.answer(request, reply))
      Answer.refuse(reply, new RouteUnknown({ path: request.url, method: request.method }), 0)
  })
  fastify.setErrorHandler((error: FastifyError, request, reply) => {
    const failure = failureOf(error)
    Answer.refuse(reply, failure, 0)
    if (failure._tag !== "RequestDefect") return
    Runtime.runFork(runtime)(
      Effect.logError("A request failed", error).pipe(
        Effect.annotateLogs({
          code: "REQUEST_DEFECT",
          requestId: request.id,
          route: request.routeOptions.url ?? "none"
        })
      )
    )
  })
}
