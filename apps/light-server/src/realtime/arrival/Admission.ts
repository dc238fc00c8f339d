/** From the handshake of a socket to its slot, or to the end of its transport. */
import { Effect, FiberSet, type Scope } from "effect"
import * as ConnectionSlots from "./ConnectionSlots.ts"
import * as DisabledAccounts from "./DisabledAccounts.ts"
import * as Handshake from "./Handshake.ts"
import type { Ownership } from "../../entities/Ownership.ts"
import { countRefusal, type RefusalReason } from "../RealtimeMetrics.ts"
import { limitShare } from "../../replicas/ReplicaBus.ts"
import type { RealtimeOptions } from "../RealtimeOptions.ts"
import type { Socket, Verdict } from "../Socket.ts"
import { SocketServer } from "../SocketServer.ts"
import * as UnregisteredMachines from "./UnregisteredMachines.ts"

/** Closes the transport instead of answering: the client comes back. */
export const sendAway = (socket: Socket, reason: Exclude<RefusalReason, "refused">): void => {
  countRefusal(reason)
  socket.conn.close()
}

/** Lets a verified socket in, if its account has a place for it. */
const admit = (socket: Socket, slots: ConnectionSlots.ConnectionSlots, verdict: Verdict, next: () => void) => {
  if (verdict._tag === "Accepted") {
    const slot = slots.take(verdict.accountId, Date.now())
    if (slot === undefined) return sendAway(socket, "account-overload")
    // The transport may close before the socket is connected, and a socket may end before its transport.
    socket.conn.once("close", slot.leave)
    socket.once("disconnect", slot.leave)
    socket.data.slot = slot
  }
  socket.data.verdict = verdict
  next()
}

/**
 * Verifies each handshake before `connection`, so that no listener is registered
 * late.
 */
export const make = (
  options: RealtimeOptions,
  run: (effect: Effect.Effect<void, never, Ownership>) => void
): Effect.Effect<void, never, SocketServer | Ownership | Scope.Scope> =>
  Effect.gen(function* () {
    // Clients that are held do nothing that the end of the server should wait for: they are let go when it begins.
    const holdBack = yield* FiberSet.makeRuntime<never>()
    const { addressOf, disconnects, failureLimiter, gate, io, isDraining } = yield* SocketServer
    const slots = ConnectionSlots.make(options, yield* limitShare)
    // One transport may ask for one connection at a time, whatever it sends.
    const verifying = new WeakSet<object>()

    const disabled = DisabledAccounts.make(options.handshakeQueueLimit)
    const unregistered = UnregisteredMachines.make(options.handshakeQueueLimit)

    const turnAway = (socket: Socket, refusal: Handshake.RetryableRefusal): Effect.Effect<void> => {
      const leave = Effect.sync(() => sendAway(socket, refusal.reason))
      if (refusal.reason === "bad-tokens") return leave
      const wait = refusal.reason === "unregistered" ? unregistered.refuse(refusal.key) : disabled.hold()
      // Not within the turn of the handshake: one that waits here must not block others.
      return wait === undefined ? leave : Effect.sync(() => void holdBack(Effect.zipRight(wait, leave)))
    }

    const verified = (socket: Socket, next: () => void) =>
      Handshake.verify(socket.handshake.auth, (token) =>
        failureLimiter.verify(addressOf(socket.request), token, socket.request.headers["user-agent"])
      ).pipe(
        Effect.flatMap((verdict) => {
          if (verdict._tag === "RetryableRefusal") return turnAway(socket, verdict)
          return Effect.sync(() => {
            // A client that left in the meantime needs no slot, and would not release it.
            if (socket.conn.readyState === "open") admit(socket, slots, verdict, next)
          })
        }),
        Effect.catchAllCause((cause) =>
          Effect.logWarning("A handshake could not be verified", cause).pipe(
            Effect.annotateLogs("code", "HANDSHAKE_UNVERIFIED"),
            Effect.zipRight(Effect.sync(() => sendAway(socket, "unverified")))
          )
        )
      )

    io.use((socket, next) => {
      if (isDraining()) return sendAway(socket, "draining")
      const isFull = slots.count() + gate.count() >= options.socketLimit
      if (isFull || verifying.has(socket.conn)) return sendAway(socket, "overload")
      // A client that has left while it waited is not verified.
      const handshake = Effect.suspend(() => (socket.conn.readyState === "open" ? verified(socket, next) : Effect.void))
      const turn = gate.enter(handshake)
      if (turn === undefined) return sendAway(socket, "overload")
      verifying.add(socket.conn)
      socket.data.disconnectCount = disconnects.count()
      run(
        turn.pipe(
          Effect.timeoutTo({
            duration: options.handshakeTimeout,
            onSuccess: () => {},
            onTimeout: () => sendAway(socket, "unverified")
          }),
          Effect.ensuring(Effect.sync(() => verifying.delete(socket.conn)))
        )
      )
    })
  })
