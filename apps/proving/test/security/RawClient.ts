/**
 * A client that writes bytes, so that it can send what no library would.
 */
import { Deferred, Effect, type Scope } from "effect"
import { randomBytes } from "node:crypto"
import net from "node:net"
import * as Eventually from "../../src/drivers/Eventually.ts"

export interface RawClient {
  readonly write: (bytes: string | Uint8Array) => void
  /** Resolves when that text has arrived. Dies when the connection is closed before. */
  readonly until: (text: string) => Effect.Effect<void>
  /** When the server has closed the connection. */
  readonly closed: Effect.Effect<Reply>
}

export interface Reply {
  readonly status: number
  readonly head: string
  readonly body: unknown
  /** From the connection to its end. */
  readonly millis: number
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

const replyOf = (text: string, millis: number): Reply => {
  const [head = "", body = ""] = text.split("\r\n\r\n")
  return { status: Number(head.split(" ")[1] ?? 0), head: head.toLowerCase(), body: parsed(body), millis }
}

/** A websocket is closed by both: the frame of the server is short, and the last. */
const isFarewell = (data: Buffer) => {
  const at = data.lastIndexOf(0x88)
  return at >= 0 && data[at + 1] === data.length - at - 2
}

/** Open until the server closes it, or the scope does. */
export const connect = (url: string): Effect.Effect<RawClient, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { hostname, port } = new URL(url)
    const closed = yield* Deferred.make<Reply>()
    const began = performance.now()
    const chunks: Array<Buffer> = []
    const received = () => Buffer.concat(chunks).toString("latin1")
    const socket = yield* Effect.acquireRelease(
      Effect.sync(() => net.connect(Number(port), hostname)),
      (socket) => Effect.sync(() => socket.destroy())
    )
    socket.on("data", (data) => {
      chunks.push(data)
      if (isFarewell(data)) socket.end()
    })
    // A connection that is reset is closed too.
    socket.on("error", () => {})
    socket.once("close", () => {
      Effect.runSync(Deferred.succeed(closed, replyOf(received(), performance.now() - began)))
    })
    const isClosed = Effect.flatMap(Deferred.await(closed), ({ head }) => Effect.dieMessage(`closed: ${head}`))
    return {
      write: (bytes) => void (socket.writable && socket.write(bytes)),
      until: (text) =>
        Effect.raceFirst(Effect.asVoid(Eventually.until(Effect.sync(received), (so) => so.includes(text))), isClosed),
      closed: Deferred.await(closed)
    }
  })

/** The answer to these bytes until the server closes the connection. */
export const talk = (url: string, bytes: string | Uint8Array): Effect.Effect<Reply> =>
  Effect.scoped(
    Effect.gen(function* () {
      const client = yield* connect(url)
      client.write(bytes)
      return yield* client.closed
    })
  )

/** The request that makes a websocket of a connection. */
export const upgrade = (path = "/v1/updates/?EIO=4&transport=websocket", headers = ""): string =>
  [
    `GET ${path} HTTP/1.1`,
    "host: x",
    "connection: Upgrade",
    "upgrade: websocket",
    "sec-websocket-version: 13",
    `sec-websocket-key: ${randomBytes(16).toString("base64")}`,
    `${headers}\r\n`
  ].join("\r\n")

export interface FrameOptions {
  readonly opcode?: number
  readonly isFinal?: boolean
  readonly isMasked?: boolean
  readonly reserved?: number
  /** The length in the header of the frame. */
  readonly claimedLength?: bigint
}

/** A frame of a websocket, valid unless an option changes it. Its mask is zero. */
export const frame = (
  payload: string | Uint8Array,
  { claimedLength, isFinal = true, isMasked = true, opcode = 1, reserved = 0 }: FrameOptions = {}
): Uint8Array => {
  const bytes = Buffer.from(payload)
  const mask = isMasked ? 0x80 : 0
  const head = Buffer.alloc(10)
  head[0] = (isFinal ? 0x80 : 0) | (reserved << 4) | opcode
  const isShort = claimedLength === undefined && bytes.length < 126
  head[1] = mask | (isShort ? bytes.length : 127)
  if (!isShort) head.writeBigUInt64BE(claimedLength ?? BigInt(bytes.length), 2)
  return Buffer.concat([head.subarray(0, isShort ? 2 : 10), Buffer.alloc(isMasked ? 4 : 0), bytes])
}

/** A socket of an account, connected. */
export const websocket = (url: string, token: string): Effect.Effect<RawClient, never, Scope.Scope> =>
  Effect.gen(function* () {
    const client = yield* connect(url)
    client.write(upgrade())
    yield* client.until(`0{"sid":`)
    client.write(frame(`40${JSON.stringify({ token, clientType: "user-scoped" })}`))
    yield* client.until(`40{"sid":`)
    return client
  })
