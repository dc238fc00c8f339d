/**
 * Sockets: who connects, what they say, who comes and goes.
 *
 * @since 0.1.0
 */
import { Effect, FiberSet, Layer } from "effect"
import { Presence, type Transition } from "presence-effect/Presence"
import type { PresenceKey } from "presence-effect/PresenceKey"
import type { Authenticator } from "../http/Authenticator.ts"
import * as AccountSeats from "./AccountSeats.ts"
import { clientType, type Connection, presenceKey } from "./Connection.ts"
import * as Dispatcher from "./Dispatcher.ts"
import { Emitter, type Ephemeral } from "./Emitter.ts"
import { EventRegistry } from "./EventRegistry.ts"
import * as Handshake from "./Handshake.ts"
import * as OutgoingGuard from "./OutgoingGuard.ts"
import type { Ownership } from "./Ownership.ts"
import {
  countRefusal,
  type RefusalReason,
  setHandshakes,
  setLagging,
  setLimits,
  setSockets
} from "./RealtimeMetrics.ts"
import type { RealtimeOptions } from "./RealtimeOptions.ts"
import * as Room from "./Room.ts"
import { type Socket, SocketServer, type Verdict } from "./SocketServer.ts"

/** What apps are told when a row comes or goes. */
const activityOf = (key: PresenceKey, active: boolean, activeAt: number): Ephemeral =>
  key.kind === "machine"
    ? { type: "machine-activity", id: key.id, active, activeAt }
    : { type: "activity", id: key.id, active, activeAt, thinking: false }

/** Closes the transport instead of answering: the client comes back. */
const sendAway = (socket: Socket, reason: Exclude<RefusalReason, "refused">) => {
  countRefusal(reason)
  socket.conn.close()
}

/** Lets a verified socket in, if its account has a place for it. */
const admit = (socket: Socket, seats: AccountSeats.AccountSeats, verdict: Verdict, next: () => void) => {
  if (verdict._tag === "Accepted") {
    const seat = seats.take(verdict.accountId, Date.now())
    if (seat === undefined) return sendAway(socket, "account-overload")
    // The transport may close before the socket is connected, and a socket may end before its transport.
    socket.conn.once("close", seat.leave)
    socket.once("disconnect", seat.leave)
    socket.data.seat = seat
  }
  socket.data.verdict = verdict
  next()
}

/** Verifies each handshake before `connection`, so that no listener is registered late. */
const verifyHandshakes = (
  options: RealtimeOptions,
  run: (effect: Effect.Effect<void, never, Authenticator | Ownership>) => void
) =>
  Effect.map(SocketServer, ({ dismissals, io, isDraining }) => {
    const seats = AccountSeats.make(options)
    // One transport may ask for one connection at a time, whatever it sends.
    const verifying = new WeakSet<object>()
    let running = 0
    const setRunning = (count: number) => {
      running = count
      setHandshakes(count)
    }
    io.use((socket, next) => {
      if (isDraining()) return sendAway(socket, "draining")
      const isFull = running >= options.handshakeLimit || seats.count() + running >= options.socketLimit
      if (isFull || verifying.has(socket.conn)) return sendAway(socket, "overload")
      setRunning(running + 1)
      verifying.add(socket.conn)
      socket.data.dismissalCount = dismissals.count()
      const settled = () => {
        setRunning(running - 1)
        verifying.delete(socket.conn)
      }
      run(
        Handshake.verify(socket.handshake.auth).pipe(
          Effect.timeoutOption(options.handshakeTimeout),
          Effect.flatten,
          Effect.tapErrorCause((cause) =>
            Effect.logWarning("A handshake could not be verified", cause).pipe(
              Effect.annotateLogs("code", "HANDSHAKE_UNVERIFIED")
            )
          ),
          Effect.matchCause({
            onFailure: () => sendAway(socket, "unverified"),
            onSuccess: (verdict) => {
              if (verdict._tag === "NotYet") return sendAway(socket, "unverified")
              // Who left in the meantime needs no place, and would not give it back.
              if (socket.conn.readyState === "open") admit(socket, seats, verdict, next)
            }
          }),
          Effect.ensuring(Effect.sync(settled))
        )
      )
    })
  })

const refuse = (socket: Socket, message: string) => {
  countRefusal("refused")
  socket.emit("error", { message })
  socket.disconnect(true)
}

/** How many sockets of each client type are connected. */
const makeCensus = () => {
  const counts = new Map<string, number>()
  return (type: string, change: 1 | -1) => {
    const count = (counts.get(type) ?? 0) + change
    counts.set(type, count)
    setSockets(type, count)
  }
}

const acceptConnections = (options: RealtimeOptions, run: (effect: Effect.Effect<void>) => void) =>
  Effect.gen(function* () {
    const { dismissals, io } = yield* SocketServer
    const registry = yield* EventRegistry
    const presence = yield* Presence
    const emitter = yield* Emitter
    const census = makeCensus()
    let laggardCount = 0

    const arrive = (key: PresenceKey) => {
      const outcome = presence.connected(key)
      if (outcome !== "online" && outcome !== "alive") return
      // A machine that connects is always announced; of a session apps know unless it was offline.
      if (outcome === "alive" && key.kind === "session") return
      const activeAt = presence.lastSeen(key)?.lastSeenMillis ?? Date.now()
      emitter.ephemeral(Room.toApps(key.accountId), activityOf(key, true, activeAt))
    }

    // Everything in here is synchronous: an event that follows the handshake at once must meet its listener.
    io.on("connection", (socket) => {
      const { seat, verdict } = socket.data
      if (verdict?._tag === "Refused") return refuse(socket, verdict.message)
      if (verdict === undefined || seat === undefined) return refuse(socket, "Invalid authentication token")
      // Tokens were revoked since; whose they were, the next handshake finds out.
      if (socket.data.dismissalCount !== dismissals.count()) return sendAway(socket, "unverified")
      const { accountId, scope } = verdict
      const connection: Connection = { id: socket.id, accountId, scope }
      const type = clientType(scope)
      const key = presenceKey(accountId, scope)

      const dispatch = Dispatcher.make(registry, connection, options, {
        run,
        accountBudget: seat.budget,
        onFlood: () => {
          countRefusal("flooding")
          OutgoingGuard.closeTransport(socket)
        }
      })
      socket.onAny((event, ...args) => dispatch(event, args))
      OutgoingGuard.watch(socket, options, {
        overflow: () => countRefusal("slow-reader"),
        lagging: (change) => {
          laggardCount += change
          setLagging(laggardCount)
        }
      })
      socket.join([...Room.roomsOf(accountId, scope)])
      census(type, 1)
      socket.once("disconnect", () => {
        census(type, -1)
        // One transport carries one socket: who leaves the one has no use for the other, and an ack that
        // comes late must not meet the next socket on it.
        socket.conn.close()
        if (key !== undefined) presence.disconnected(key)
      })
      if (key !== undefined) arrive(key)
    })
  })

/** `ended` was announced when the client said so. */
const announceTransitions = Effect.gen(function* () {
  const presence = yield* Presence
  const emitter = yield* Emitter
  yield* presence.onTransition(({ key, lastSeenMillis, reason }: Transition) => {
    if (reason === "ended") return
    emitter.ephemeral(Room.toApps(key.accountId), activityOf(key, false, lastSeenMillis))
  })
})

/**
 * Accepts sockets until its scope closes. Build it after the features, whose
 * events it looks up, and before the port is opened.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: RealtimeOptions
): Layer.Layer<never, never, SocketServer | EventRegistry | Emitter | Presence | Authenticator | Ownership> =>
  Layer.scopedDiscard(
    Effect.gen(function* () {
      const handlers = yield* FiberSet.make<void>()
      const run = yield* FiberSet.runtime(handlers)<Authenticator | Ownership>()
      // Handlers that run have a moment to end. Finalizers are uninterruptible; without `interruptible`
      // the timeout would wait for them for ever.
      yield* Effect.addFinalizer(() =>
        FiberSet.awaitEmpty(handlers).pipe(Effect.interruptible, Effect.timeoutOption(options.drainTimeout))
      )
      yield* Effect.sync(() => setLimits(options))
      yield* announceTransitions
      yield* verifyHandshakes(options, (effect) => void run(effect))
      yield* acceptConnections(options, (effect) => void run(effect))
    })
  )
