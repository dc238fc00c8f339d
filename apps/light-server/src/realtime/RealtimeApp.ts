/** The socket server: connections, their events, and the presence of their rows. */
import { Effect, FiberSet, Layer } from "effect"
import { type BeatOutcome, Presence, type Transition } from "../entities/Presence.ts"
import type { PresenceKey } from "../entities/PresenceKey.ts"
import { digestOf } from "../door/TokenDigest.ts"
import * as FinalizerLimit from "../FinalizerLimit.ts"
import { invalidSocketToken, machineRevoked } from "../Failure.ts"
import { make as makeAdmission, sendAway } from "./arrival/Admission.ts"
import * as Handshake from "./arrival/Handshake.ts"
import { clientType, type Connection, presenceKey } from "./Connection.ts"
import * as BackPressure from "./arrival/BackPressure.ts"
import { refuse } from "./arrival/Disconnects.ts"
import type { EventBudget } from "./events/EventBudget.ts"
import { whenOwned } from "./events/BeatEvent.ts"
import * as Dispatcher from "./events/Dispatcher.ts"
import { Emitter, type Ephemeral } from "./sending/Emitter.ts"
import { EventRegistry } from "./events/EventRegistry.ts"
import * as OutgoingGuard from "./sending/OutgoingGuard.ts"
import { Ownership } from "../entities/Ownership.ts"
import { countRefusal, setLagging, setLimits, setSockets } from "./RealtimeMetrics.ts"
import type { RealtimeOptions } from "./RealtimeOptions.ts"
import * as Room from "./sending/Room.ts"
import * as Succession from "./events/Succession.ts"
import type { Socket } from "./Socket.ts"
import { SocketServer } from "./SocketServer.ts"

/** What apps receive when a row goes online or offline. */
const activityOf = (key: PresenceKey, active: boolean, activeAt: number): Ephemeral =>
  key.kind === "machine"
    ? { type: "machine-activity", id: key.id, active, activeAt }
    : { type: "activity", id: key.id, active, activeAt, thinking: false }

/** How many sockets of each client type are connected. */
const makeCensus = () => {
  const counts = new Map<string, number>()
  return (type: string, change: 1 | -1) => {
    const count = (counts.get(type) ?? 0) + change
    counts.set(type, count)
    setSockets(type, count)
  }
}

/** What the connected sockets share. */
const makeShared = (options: RealtimeOptions, run: (effect: Effect.Effect<void>) => void) =>
  Effect.gen(function* () {
    const { readControls } = yield* SocketServer
    const registry = yield* EventRegistry
    const clock = yield* Effect.clock
    const backPressure = BackPressure.make(options)
    const outgoing = yield* OutgoingGuard.make(options)
    const succession = Succession.make()
    let laggardCount = 0

    /** Takes the events of a socket, within its limits. */
    const listen = (socket: Socket, connection: Connection, accountBudget: EventBudget, onEvent: () => void): void => {
      const close = (reason: "flooding" | "unstored") => () => {
        countRefusal(reason)
        OutgoingGuard.closeTransport(socket)
      }
      const isOpen = () => socket.connected
      const dispatch = Dispatcher.make(registry, connection, options, {
        run,
        nowMillis: () => clock.unsafeCurrentTimeMillis(),
        onEvent,
        accountBudget,
        intake: backPressure.intakeOf(readControls.of(socket.conn)),
        turnOf: succession.of(connection, isOpen),
        isOpen,
        closeTransport: close("unstored"),
        onFlood: close("flooding")
      })
      socket.onAny((event, ...args) => dispatch(event, args))
    }

    const guard = (socket: Socket): void =>
      outgoing.watch(socket, {
        overflow: () => countRefusal("slow-reader"),
        lagging: (change) => {
          laggardCount += change
          setLagging(laggardCount)
        }
      })

    return { listen, guard }
  })

const acceptConnections = (options: RealtimeOptions, run: (effect: Effect.Effect<void>) => void) =>
  Effect.gen(function* () {
    const { disconnects, io } = yield* SocketServer
    const presence = yield* Presence
    const emitter = yield* Emitter
    const ownership = yield* Ownership
    const shared = yield* makeShared(options, run)
    const census = makeCensus()

    const announce = (key: PresenceKey, outcome: BeatOutcome) => {
      if (outcome !== "online" && outcome !== "alive") return
      // A machine that connects is always announced, a session only if it was offline.
      if (outcome === "alive" && key.kind === "session") return
      const activeAt = presence.lastSeen(key)?.lastSeenMillis ?? Date.now()
      emitter.ephemeral(Room.toApps(key.accountId), activityOf(key, true, activeAt))
    }

    // Everything in here is synchronous: an event right after the handshake must find its listener.
    io.on("connection", (socket) => {
      const { slot, verdict } = socket.data
      if (verdict?._tag === "Refused") return refuse(socket, verdict.message)
      if (verdict === undefined || slot === undefined) return refuse(socket, invalidSocketToken)
      const { accountId, scope } = verdict
      // Tokens were revoked since; the next handshake finds out which ones.
      if (disconnects.isSince(accountId, socket.data.disconnectCount ?? 0)) return sendAway(socket, "unverified")
      const type = clientType(scope)
      const key = presenceKey(accountId, scope)
      // The connection of an archived session does not make it online, not even after the session leaves the archive.
      const isSilent = verdict.isArchived === true || (key !== undefined && ownership.remembered(key) === "archived")
      const counted = isSilent ? undefined : key

      shared.listen(socket, { id: socket.id, accountId, scope }, slot.budget, () => {
        if (key === undefined) return
        // A row that timed out and sends an event is online again, unless it was deleted meanwhile.
        const outcome = whenOwned(ownership, key, () => {
          if (presence.seen(key) === "online") announce(key, "online")
          return "accepted"
        })
        if (Effect.isEffect(outcome)) run(Effect.asVoid(outcome))
      })
      shared.guard(socket)
      const tokenId = digestOf(Handshake.tokenOf(socket.handshake.auth)) ?? ""
      socket.join([...Room.roomsOf(accountId, scope), Room.ofToken(tokenId)])
      census(type, 1)
      socket.once("disconnect", () => {
        census(type, -1)
        // One transport carries one socket: a client that leaves its socket has no use for the transport, and a late
        // ack must not reach the next socket on it.
        socket.conn.close()
        if (counted !== undefined) presence.disconnected(counted)
      })
      if (counted !== undefined) announce(counted, presence.connected(counted))
    })
  })

/** `ended` was announced when the client sent it. */
const announceTransitions = Effect.gen(function* () {
  const presence = yield* Presence
  const emitter = yield* Emitter
  yield* presence.onTransition(({ key, lastSeenMillis, reason }: Transition) => {
    if (reason === "ended") return
    emitter.ephemeral(Room.toApps(key.accountId), activityOf(key, false, lastSeenMillis))
  })
})

/** Another server of the file may revoke machines: when this is noticed, the sockets of their daemons are closed. */
const disconnectRevoked = Effect.gen(function* () {
  const ownership = yield* Ownership
  const { disconnects } = yield* SocketServer
  yield* ownership.onRevoked(({ accountId, id }) => disconnects.here.disconnectMachine(accountId, id, machineRevoked))
})

/**
 * Accepts sockets until its scope closes. Build it after the features, which
 * register its events, and before the port is opened.
 */
export const layer = (
  options: RealtimeOptions
): Layer.Layer<never, never, SocketServer | EventRegistry | Emitter | Presence | Ownership> =>
  Layer.scopedDiscard(
    Effect.gen(function* () {
      const handlers = yield* FiberSet.make<void>()
      const run = yield* FiberSet.runtime(handlers)<Ownership>()
      // Running handlers have a moment to end.
      yield* Effect.addFinalizer(() => FinalizerLimit.within(options.drainTimeout)(FiberSet.awaitEmpty(handlers)))
      yield* Effect.sync(() => setLimits(options))
      yield* announceTransitions
      yield* disconnectRevoked
      yield* makeAdmission(options, (effect) => void run(effect))
      yield* acceptConnections(options, (effect) => void run(effect))
    })
  )
