/**
 * The way to other replicas through Redis. This file is loaded only when `REDIS_URL` is set.
 *
 * Broadcasts of socket.io go through a stream, so that none is missed while a connection is opened again. Everything
 * else is published: it is of no use later. Nothing waits for Redis: what it does not take is dropped beyond a limit.
 */
import { createAdapter } from "@socket.io/redis-streams-adapter"
import { Effect, Exit, type Redacted, Schedule, Scope } from "effect"
import { randomUUID } from "node:crypto"
import * as RedisAddress from "./RedisAddress.ts"
import * as RedisOutbox from "./RedisOutbox.ts"
import * as RedisSession from "./RedisSession.ts"
import type { RedisUnusable } from "./RedisUnusable.ts"
import type { AdapterFactory } from "./ReplicaBus.ts"
import type { ReplicaLink } from "./ReplicaLink.ts"
import { countBytes, setWaitingBytes } from "./ReplicaMetrics.ts"

/** Published bytes that Redis has not confirmed. More are dropped. */
const publishedBytesMax = 64 * 1024 * 1024

/** A server hears its own announcements, every quarter of a second. */
const silenceMillis = 2000

const watchMillis = 250

/** How long a read of the stream waits. Its answer comes within `silenceMillis` more, or the session ends. */
const blockMillis = 1000

/** Between two attempts to reach Redis again. */
const reconnect = Schedule.exponential("250 millis").pipe(
  Schedule.union(Schedule.spaced("3 seconds")),
  Schedule.jittered
)

/** The parts of a client that the adapter uses, over a session that may end and be followed by another one. */
const clientOf = (terms: {
  readonly add: (fields: { readonly [field: string]: string }) => void
  readonly read: (id: string, count: number) => Promise<ReadonlyArray<RedisSession.Message>>
}) => {
  const client = {
    // By this member the adapter knows the kind of client. Its own channels carry nothing here.
    sSubscribe: () => {},
    subscribe: () => {},
    publish: () => Promise.resolve(0),
    on: () => client,
    connect: () => Promise.resolve(),
    disconnect: () => {},
    duplicate: (): unknown => client,
    xAdd: (_stream: string, _id: string, fields: { readonly [field: string]: string }) => {
      terms.add(fields)
      return Promise.resolve("")
    },
    xRead: async ([{ id }]: readonly [{ readonly id: string }], { COUNT }: { readonly COUNT: number }) => {
      const messages = await terms.read(id, COUNT)
      return messages.length === 0 ? null : [{ messages }]
    }
  }
  return client
}

const pause = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

/** The order of ids of a stream: a time in ms, and a number. */
const isBefore = (id: string, other: string): boolean => {
  const [millis = 0, count = 0] = id.split("-").map(Number)
  const [otherMillis = 0, otherCount = 0] = other.split("-").map(Number)
  return millis < otherMillis || (millis === otherMillis && count < otherCount)
}

/** Before every entry. */
const beginning = "0-0"

/** Reads through whatever session there is. */
const makeReader = () => {
  let waiting: Array<(session: RedisSession.RedisSession) => void> = []
  let current: RedisSession.RedisSession | undefined
  /** Where the adapter begins, which itself would begin with what comes after its first request. */
  let begin: string | undefined
  /** After what the adapter read last. */
  let asked = beginning
  /** What it asks for is after the end of a stream that Redis began anew, by a clock that is behind. */
  let outdated: string | undefined
  const startOf = (id: string, used: RedisSession.RedisSession): string => {
    if (id === outdated) return beginning
    asked = id === "$" ? (begin ?? used.lastId) : id
    return asked
  }
  const session = (): Promise<RedisSession.RedisSession> =>
    current === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(current)
  return {
    open: (opened: RedisSession.RedisSession) => {
      begin ??= opened.lastId
      if (isBefore(opened.lastId, asked)) {
        outdated = asked
        begin = beginning
      }
      current = opened
      const resumed = waiting
      waiting = []
      for (const resume of resumed) resume(opened)
    },
    close: () => {
      current = undefined
    },
    read: async (id: string, count: number): Promise<ReadonlyArray<RedisSession.Message>> => {
      const used = await session()
      const late = setTimeout(() => used.fail("it does not answer"), blockMillis + silenceMillis)
      late.unref()
      try {
        return await used.read(startOf(id, used), count, blockMillis)
      } catch {
        // The adapter would ask again at once.
        await pause(watchMillis)
        return []
      } finally {
        clearTimeout(late)
      }
    }
  }
}

/** Published bytes under way. */
const makePublisher = () => {
  let pending = 0
  return (session: RedisSession.RedisSession | undefined, channel: string, bytes: Uint8Array): boolean => {
    if (session === undefined || pending + bytes.byteLength > publishedBytesMax) return false
    pending += bytes.byteLength
    const done = () => {
      pending -= bytes.byteLength
    }
    session.publish(channel, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)).then(done, done)
    countBytes(bytes.byteLength)
    return true
  }
}

/** Ends a session in which nothing is heard any more, not even this replica itself. */
const watchSilence = (session: RedisSession.RedisSession, heardAt: () => number): Effect.Effect<never> =>
  Effect.gen(function* () {
    const clock = yield* Effect.clock
    let checkedAt = clock.unsafeCurrentTimeMillis()
    let since = checkedAt
    return yield* Effect.sync(() => {
      const now = clock.unsafeCurrentTimeMillis()
      // This process stood still, so nothing could be heard.
      if (now - checkedAt > 4 * watchMillis || now < checkedAt) since = now
      checkedAt = now
      if (now - Math.max(since, heardAt()) > silenceMillis) session.fail("it does not answer")
    }).pipe(Effect.delay(watchMillis), Effect.forever)
  })

/** What uses a session, as long as there is one. */
interface Users {
  readonly begin: (session: RedisSession.RedisSession) => void
  readonly end: () => void
}

/** One session after the other until the scope closes. Fails when the first one cannot be opened. */
const makeSessions = (
  address: RedisAddress.RedisAddress,
  open: Effect.Effect<RedisSession.RedisSession, RedisUnusable, Scope.Scope>,
  users: Users,
  heardAt: () => number
) =>
  Effect.gen(function* () {
    let problem: string | undefined
    const begin = (opened: RedisSession.RedisSession) => {
      problem = undefined
      users.begin(opened)
    }
    const end = (reason: string) => {
      problem = `Redis at ${address.host}:${address.port}: ${reason}`
      users.end()
      return Effect.logWarning(`Other replicas cannot be reached. ${problem}`).pipe(
        Effect.annotateLogs("code", "REDIS_LOST")
      )
    }
    const use = (opened: RedisSession.RedisSession) =>
      Effect.flatMap(Effect.raceFirst(opened.ended, watchSilence(opened, heardAt)), end)
    const useAgain = Effect.scoped(
      Effect.gen(function* () {
        const opened = yield* open
        begin(opened)
        yield* Effect.logInfo("Other replicas can be reached again").pipe(Effect.annotateLogs("code", "REDIS_BACK"))
        yield* use(opened)
      })
    ).pipe(Effect.retry(reconnect), Effect.delay("250 millis"))

    const scope = yield* Scope.make()
    yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
    const first = yield* Scope.extend(open, scope)
    begin(first)
    yield* use(first).pipe(
      Effect.ensuring(Scope.close(scope, Exit.void)),
      Effect.zipRight(Effect.forever(useAgain)),
      Effect.forkScoped
    )
    return { problem: () => problem }
  })

/**
 * Connects, and stays connected until the scope closes.
 *
 * **Errors**: `RedisUnusable` when the first attempt fails.
 */
export const make = (redisUrl: Redacted.Redacted): Effect.Effect<ReplicaLink, RedisUnusable, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Effect.clock
    const address = RedisAddress.make(redisUrl)
    const self = randomUUID()
    const prefix = `light-server:${address.database}`
    const channelOf = (name: string) => `${prefix}:${name}`
    const outbox = RedisOutbox.make((cause) => !RedisSession.isRefusal(cause))
    const reader = makeReader()
    const publish = makePublisher()
    let session: RedisSession.RedisSession | undefined
    let heardAt = 0
    let listener: (bytes: Uint8Array) => void = () => {}

    const open = RedisSession.open({
      address,
      stream: `${prefix}:broadcasts`,
      channels: [channelOf("all"), channelOf(self)],
      onMessage: (bytes) => {
        heardAt = clock.unsafeCurrentTimeMillis()
        listener(bytes)
      }
    })
    const users: Users = {
      begin: (opened) => {
        session = opened
        reader.open(opened)
        outbox.open(opened.append)
      },
      end: () => {
        session = undefined
        reader.close()
        outbox.close()
      }
    }
    const { problem } = yield* makeSessions(address, open, users, () => heardAt)
    yield* Effect.sync(() => setWaitingBytes(outbox.waitingBytes())).pipe(
      Effect.repeat(Schedule.spaced("1 second")),
      Effect.forkScoped
    )

    return {
      self,
      problem,
      send: (bytes, to) => publish(session, channelOf(to ?? "all"), bytes),
      receive: (given) => {
        listener = given
      },
      adapter: createAdapter(clientOf({ add: outbox.add, read: reader.read }), {
        blockTimeInMs: blockMillis
      }) as AdapterFactory
    }
  })
