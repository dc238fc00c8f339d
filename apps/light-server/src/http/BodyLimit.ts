/**
 * How large the body of a request without an account may be.
 *
 * The limit of the route bounds a request with a token. Without a token the
 * limit is small, since such requests need little: a login is at most five keys
 * and signatures. The limit depends on whether an account was verified, so a
 * new route has it without further code.
 */
import type { FastifyInstance } from "fastify"
import { type Readable, Transform } from "node:stream"

/** Largest body of a request that stores messages: 8 MB, below what may wait for a socket. */
export const messageBytesMax = 8_000_000

/** Largest body of a request without an account. */
export const anonymousBytesMax = 8192

class BodyTooLarge extends Error {
  readonly statusCode = 413
  readonly code = "BODY_TOO_LARGE"
  constructor() {
    super("Request body is too large")
  }
}

/** Passes a body on, up to the limit. Its length is not known in advance. */
const bounded = (payload: Readable): Readable => {
  let bytes = 0
  const counter = new Transform({
    transform: (chunk: Buffer, _, done) => {
      bytes += chunk.length
      if (bytes > anonymousBytesMax) return done(new BodyTooLarge())
      done(null, chunk)
    }
  })
  payload.once("error", (error) => counter.destroy(error))
  return payload.pipe(counter)
}

/**
 * Lets a client finish sending a body that was refused for its size, unless it is far too large: a client that is cut
 * off while it sends does not see its answer. Node discards data after an answer on a connection that stays open.
 *
 * Before the hooks that close connections for other reasons.
 */
export const addPatience = (fastify: FastifyInstance): void => {
  fastify.addHook("onSend", (request, reply, payload, done) => {
    const length = Number(request.headers["content-length"])
    if (reply.statusCode === 413 && length <= messageBytesMax) reply.removeHeader("connection")
    done(null, payload)
  })
}

export const add = (fastify: FastifyInstance): void => {
  fastify.addHook("preParsing", (request, reply, payload, done) => {
    if (request.accountId !== "") return done(null, payload)
    const length = request.headers["content-length"]
    if (length === undefined) {
      const hasBody = request.headers["transfer-encoding"] !== undefined
      return done(null, hasBody ? bounded(payload as Readable) : payload)
    }
    if (Number(length) <= anonymousBytesMax) return done(null, payload)
    // The rest of the body may still come.
    reply.header("connection", "close")
    done(new BodyTooLarge())
  })
}
