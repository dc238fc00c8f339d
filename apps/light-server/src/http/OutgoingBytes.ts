/**
 * How many bytes of answers may be unread: over all connections, per address
 * and per connection. The unread answer of a slow client is kept in the memory
 * of this process.
 */
import { Effect, Runtime } from "effect"
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify"
import { Socket } from "node:net"
import { keyOf } from "../door/ClientAddress.ts"
import { type Failure, toHttp } from "./FailureTable.ts"
import * as Answer from "./Answer.ts"
import * as FreedBytes from "../FreedBytes.ts"
import * as HeavyTurns from "./HeavyTurns.ts"
import * as Tally from "../Tally.ts"
import { priorityOf, type Shedding } from "./Shedding.ts"

export interface OutgoingLimits extends HeavyTurns.HeavyLimits {
  /** Over all connections. */
  readonly totalBytes: number
  /** Of the connections of one address. */
  readonly addressBytes: number
  /** Of one connection. A single answer may be larger, so that every answer can be sent. */
  readonly connectionBytes: number
  /** A connection that reads nothing for this long is cut. */
  readonly stallMillis: number
  /** A connection that reads less than this per second on average is cut, too. */
  readonly bytesPerSecond: number
}

const mebibyte = 1_048_576

export const defaults: OutgoingLimits = {
  totalBytes: 64 * mebibyte,
  addressBytes: 32 * mebibyte,
  connectionBytes: 8 * mebibyte,
  stallMillis: 10_000,
  bytesPerSecond: 16_384,
  ...HeavyTurns.defaults
}

/** Smaller answers are not counted: the buffers of the system hold them. */
const smallBytes = 65_536

/** The assumed size of the answer to a large read, before it is known. */
const expectedBytes = 8 * mebibyte

const waiting = Tally.gauge("http_waiting_bytes", "Bytes of large answers that their clients have not read yet")

const cut = Tally.counter("http_slow_readers_total", "Connections that were cut because their client did not read")

/** Sums by key, without the keys whose sum is zero. */
const makeSums = () => {
  const sums = new Map<unknown, number>()
  return {
    of: (key: unknown) => sums.get(key) ?? 0,
    add: (key: unknown, bytes: number) => {
      const sum = (sums.get(key) ?? 0) + bytes
      if (sum > 0) sums.set(key, sum)
      else sums.delete(key)
    }
  }
}

/** Bytes that are not read yet: over all connections, per address and per connection. */
const makeUnread = (addressOf: (request: FastifyRequest) => string, limits: OutgoingLimits) => {
  const addresses = makeSums()
  const connections = makeSums()
  let total = 0
  waiting({}, total)
  return {
    isOver: (request: FastifyRequest, size: number): boolean => {
      const address = addresses.of(keyOf(addressOf(request)))
      const connection = connections.of(request.raw.socket)
      return (
        total + size > limits.totalBytes ||
        (address > 0 && address + size > limits.addressBytes) ||
        (connection > 0 && connection + size > limits.connectionBytes)
      )
    },
    /** Counts them until the function that is returned is called. A socket that is closed has no address any more. */
    add: (request: FastifyRequest, size: number): (() => void) => {
      const address = keyOf(addressOf(request))
      const change = (bytes: number) => {
        total += bytes
        addresses.add(address, bytes)
        connections.add(request.raw.socket, bytes)
        waiting({}, total)
      }
      change(size)
      return () => change(-size)
    }
  }
}

/** Cuts the connection of a reply whose client does not read. Returns a function that stops the check. */
const watch = (reply: FastifyReply, size: number, limits: OutgoingLimits, onCut: () => void): (() => void) => {
  const { socket } = reply.request.raw
  const end = () => {
    onCut()
    socket.destroy()
  }
  const mayLast = limits.stallMillis + (1000 * size) / limits.bytesPerSecond
  const timer = setTimeout(end, mayLast).unref()
  if (socket instanceof Socket) {
    // Node restarts this timeout as long as the system takes bytes, and sets its own one after the answer.
    socket.setTimeout(limits.stallMillis)
    reply.raw.once("timeout", end)
  }
  return () => clearTimeout(timer)
}

/** Turns a reply that has its answer already into a refusal, and returns the body of the refusal. */
const refused = (reply: FastifyReply, failure: Failure): string => {
  const { body, retryAfterMillis, status } = toHttp(failure, Math.random())
  reply.code(status)
  for (const name of ["content-length", "etag", "cache-control"]) reply.removeHeader(name)
  reply.header("content-type", "application/json; charset=utf-8")
  if (retryAfterMillis !== undefined) reply.header("retry-after", String(Math.ceil(retryAfterMillis / 1000)))
  return JSON.stringify(body)
}

/**
 * Adds the limits to the instance, for every answer that is a text or bytes; streams have back-pressure of their own.
 */
export const add = (
  fastify: FastifyInstance,
  runtime: Runtime.Runtime<never>,
  shedding: Shedding,
  addressOf: (request: FastifyRequest) => string,
  limits: OutgoingLimits = defaults
): void => {
  const unread = makeUnread(addressOf, limits)
  cut({}, 0)

  const onCut = (route: string) => {
    cut({})
    Runtime.runFork(runtime)(
      Effect.logWarning("A client did not read its answer, its connection is cut").pipe(
        Effect.annotateLogs({ code: "SLOW_READER", route })
      )
    )
  }

  const track = (request: FastifyRequest, reply: FastifyReply, bytes: Buffer) => {
    const size = bytes.byteLength
    const remove = unread.add(request, size)
    const stop = watch(reply, size, limits, () => onCut(request.routeOptions.url ?? "none"))
    // The system has all of it, or the socket is closed: nothing reads the bytes any more.
    reply.raw.once("close", () => {
      stop()
      remove()
      FreedBytes.free(bytes)
    })
  }

  const isFull = (request: FastifyRequest) => unread.isOver(request, Math.min(expectedBytes, limits.connectionBytes))
  const refuse = (reply: FastifyReply) => Answer.refuse(reply, shedding.refusal("heavy", "bytes"), Math.random())

  // Requests that are refused before the token is verified have cost nothing yet.
  fastify.addHook("onRequest", (request, reply, done) => {
    if (priorityOf(request) !== "heavy" || !isFull(request)) return done()
    refuse(reply)
  })
  fastify.addHook("onSend", (request, reply, payload: unknown, done) => {
    const isText = typeof payload === "string"
    if (!isText && !Buffer.isBuffer(payload)) return done(null, payload)
    const size = isText ? Buffer.byteLength(payload) : payload.length
    request.cost.addBytes(size)
    if (size < smallBytes) return done(null, payload)
    if (unread.isOver(request, size)) {
      return done(null, refused(reply, shedding.refusal(priorityOf(request), "bytes")))
    }
    // One copy is kept instead of the text and its bytes.
    const bytes = isText ? Buffer.from(payload) : payload
    track(request, reply, bytes)
    done(null, bytes)
  })
  // Many requests that come at once all pass the first hook, so each is checked again before it reads.
  HeavyTurns.add(fastify, { isFull, refuse }, limits)
}
