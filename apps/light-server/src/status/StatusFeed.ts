/**
 * Sends the page its snapshots, over a namespace of the socket server. Sockets
 * of this namespace belong to no account and are counted apart.
 *
 * A viewer has at most one message under way: it gets the difference to what it
 * has acknowledged. A viewer that reads slowly misses moments, and no memory
 * grows.
 */
import { Clock, Effect, Exit, Layer, Schedule } from "effect"
import type { IncomingMessage } from "node:http"
import type { Namespace, Socket } from "socket.io"
import type { Decision } from "../door/OperatorAccess.ts"
import { SocketServer } from "../realtime/SocketServer.ts"
import { between, type JsonObject, type Patch } from "./StatusDelta.ts"
import { StatusSnapshot } from "./StatusSnapshot.ts"

export const namespace = "/status"

/** Pages that are open at once. */
export const viewerMax = 16

/** A viewer that does not acknowledge a message within this time is disconnected; its page comes back. */
const patienceMillis = 10_000

const sendEvery = "500 millis"

/** How often rows and sizes are read while a page is open. */
const refreshMillis = 5000

export interface Message {
  /** The clock of the server, epoch ms. */
  readonly at: number
  /** The whole, or the difference to the last acknowledged message. */
  readonly snapshot?: JsonObject
  readonly patch?: Patch
}

interface Events {
  readonly status: (message: Message, answer: (silence: Error | null) => void) => void
}

type ViewerSocket = Socket<Record<never, never>, Events>

interface Viewer {
  readonly socket: ViewerSocket
  acknowledged: JsonObject | undefined
  isWaiting: boolean
}

const send = (viewer: Viewer, at: number, snapshot: JsonObject): void => {
  if (viewer.isWaiting) return
  const before = viewer.acknowledged
  const patch = before === undefined ? undefined : between(before, snapshot)
  if (before !== undefined && patch === undefined) return
  viewer.isWaiting = true
  const message: Message = patch === undefined ? { at, snapshot } : { at, patch }
  viewer.socket.timeout(patienceMillis).emit("status", message, (silence: Error | null) => {
    if (silence !== null) return void viewer.socket.disconnect(true)
    viewer.acknowledged = snapshot
    viewer.isWaiting = false
  })
}

/** Lets viewers in, and keeps those that are connected. */
const admit = (viewers: Set<Viewer>, decide: (request: IncomingMessage) => Decision) =>
  Effect.map(SocketServer, ({ io, isDraining }) => {
    const pages = io.of(namespace) as unknown as Namespace<Record<never, never>, Events>
    pages.use((socket, next) => {
      if (decide(socket.request) !== "granted") return next(new Error("Only the operator may look"))
      if (isDraining() || viewers.size >= viewerMax) return next(new Error("Too many pages are open"))
      next()
    })
    pages.on("connection", (socket) => {
      // Between the check above and here others may have come.
      if (viewers.size >= viewerMax) return void socket.disconnect(true)
      const viewer: Viewer = { socket, acknowledged: undefined, isWaiting: false }
      viewers.add(viewer)
      socket.once("disconnect", () => viewers.delete(viewer))
      // A page sends nothing.
      socket.onAny(() => socket.disconnect(true))
    })
  })

export const layer = (
  decide: (request: IncomingMessage) => Decision
): Layer.Layer<never, never, SocketServer | StatusSnapshot> =>
  Layer.scopedDiscard(
    Effect.gen(function* () {
      const snapshots = yield* StatusSnapshot
      const viewers = new Set<Viewer>()
      let refreshedAt = Number.NEGATIVE_INFINITY
      const refreshed = Effect.gen(function* () {
        const now = yield* Clock.currentTimeMillis
        if (!snapshots.isOutdated() && Math.abs(now - refreshedAt) < refreshMillis) return
        refreshedAt = now
        // A database that is slow keeps the page live with the rows of before.
        yield* Effect.timeoutOption(Effect.disconnect(snapshots.refresh), "400 millis")
      })
      const turn = Effect.gen(function* () {
        if (viewers.size === 0) return
        yield* refreshed
        const at = yield* Clock.currentTimeMillis
        const snapshot = yield* snapshots.take
        for (const viewer of viewers) send(viewer, at, snapshot)
      })
      const guarded = Effect.flatMap(Effect.exit(turn), (exit) =>
        Exit.isFailure(exit) && !Exit.isInterrupted(exit)
          ? Effect.logWarning("The status page could not be updated", exit.cause).pipe(
              Effect.annotateLogs("code", "STATUS_UNSENT")
            )
          : Effect.void
      )
      yield* admit(viewers, decide)
      yield* Effect.forkScoped(Effect.schedule(guarded, Schedule.spaced(sendEvery)))
    })
  )
