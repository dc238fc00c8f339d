/**
 * Three connections to Redis that live and end together: one sends, one reads the stream, one is subscribed. None of
 * them reconnects by itself, so that nothing is sent into a connection that nobody watches.
 */
import { createClient, ErrorReply } from "@redis/client"
import { Deferred, Effect, type Scope } from "effect"
import type { RedisAddress } from "./RedisAddress.ts"
import type { RedisUnusable } from "./RedisUnusable.ts"

const clientOf = (address: RedisAddress) =>
  createClient({
    url: address.url,
    disableOfflineQueue: true,
    socket: { connectTimeout: 5000, reconnectStrategy: false, noDelay: true }
  })

type Client = ReturnType<typeof clientOf>

export interface Message {
  readonly id: string
  readonly message: { readonly [field: string]: string }
}

export interface RedisSession {
  readonly append: (fields: { readonly [field: string]: string }) => Promise<unknown>
  readonly publish: (channel: string, bytes: Buffer) => Promise<unknown>
  /** Waits for entries after `id`, at most `blockMillis`. */
  readonly read: (id: string, count: number, blockMillis: number) => Promise<ReadonlyArray<Message>>
  /** The newest entry of the stream when the session began. */
  readonly lastId: string
  /** Ends the session with a reason. */
  readonly fail: (reason: string) => void
  /** The reason for its end. */
  readonly ended: Effect.Effect<string>
}

export interface Terms {
  readonly address: RedisAddress
  readonly stream: string
  readonly channels: ReadonlyArray<string>
  readonly onMessage: (bytes: Uint8Array) => void
}

/** From the first attempt to a session that can be used. */
const openTimeout = "5 seconds"

/** Entries stay this long: a replica that is further behind has lost its connection long before. */
const keptMillis = 60_000

/** How long the end of a session waits for what is under way. */
const closeTimeout = "500 millis"

/** Redis has refused a command, and the connection is still good. */
export const isRefusal = (cause: unknown): boolean => cause instanceof ErrorReply

const connect = ({ address }: Terms, onEnd: (reason: string) => void) =>
  Effect.acquireRelease(
    Effect.sync((): Client => {
      const client = clientOf(address)
      client.on("error", (cause: unknown) => onEnd(address.unusable(cause).detail))
      return client
    }),
    (client) => Effect.sync(() => client.destroy())
  ).pipe(Effect.tap((client) => Effect.tryPromise({ try: () => client.connect(), catch: address.unusable })))

/** The newest entry, which needs the right to read, and a trim by age, which needs Redis 6.2. */
const lastIdOf = async (client: Client, stream: string): Promise<string> => {
  await client.xTrim(stream, "MINID", 0)
  const newest = await client.xRevRange(stream, "+", "-", { COUNT: 1 })
  return newest?.[0]?.id ?? "0-0"
}

/** What was sent is on its way to Redis before the connections are closed. */
const flush = (client: Client) =>
  Effect.promise(() => client.ping().catch(() => {})).pipe(
    Effect.interruptible,
    Effect.timeoutOption(closeTimeout),
    Effect.when(() => client.isReady)
  )

/** Opens a session, until the scope closes. */
export const open = (terms: Terms): Effect.Effect<RedisSession, RedisUnusable, Scope.Scope> => {
  const { address, channels, onMessage, stream } = terms
  return Effect.gen(function* () {
    const ended = yield* Deferred.make<string>()
    const fail = (reason: string) => void Deferred.unsafeDone(ended, Effect.succeed(reason))
    const sender = yield* connect(terms, fail)
    const reader = yield* connect(terms, fail)
    const subscriber = yield* connect(terms, fail)
    const lastId = yield* Effect.tryPromise({ try: () => lastIdOf(reader, stream), catch: address.unusable })
    yield* Effect.tryPromise({
      try: () => subscriber.subscribe([...channels], (bytes) => onMessage(bytes), true),
      catch: address.unusable
    })
    yield* Effect.addFinalizer(() => flush(sender))
    let newestMillis = Number(lastId.split("-")[0])
    const session: RedisSession = {
      lastId,
      fail,
      ended: Deferred.await(ended),
      append: async (fields) => {
        // By the clock of Redis, which makes the ids.
        const threshold = Math.max(0, newestMillis - keptMillis)
        const TRIM = { strategy: "MINID", strategyModifier: "~", threshold } as const
        const id = await sender.xAdd(stream, "*", fields, { TRIM })
        newestMillis = Number(id.split("-")[0])
      },
      publish: (channel, bytes) => sender.publish(channel, bytes),
      read: async (id, count, blockMillis) => {
        const found = await reader.xRead({ key: stream, id }, { COUNT: count, BLOCK: blockMillis })
        return (found as ReadonlyArray<{ readonly messages: ReadonlyArray<Message> }> | null)?.[0]?.messages ?? []
      }
    }
    return session
  }).pipe(
    Effect.timeoutFail({
      duration: openTimeout,
      onTimeout: () => address.unusable(`no answer within ${openTimeout}`)
    })
  )
}
