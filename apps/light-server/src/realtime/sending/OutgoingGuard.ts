/** Limits on what waits for slow readers: for one of them, and for all together. */
import { Duration, Effect, type Scope } from "effect"
import type { Socket } from "../Socket.ts"
import type { RealtimeOptions } from "../RealtimeOptions.ts"
import { setOutgoingBytes } from "../RealtimeMetrics.ts"
import * as Room from "./Room.ts"

/** Approximate overhead of a packet besides its text, so that many small ones are not free. */
const packetBytes = 256

/** Packets of the engine carry text, or bytes. */
const bytesOf = (packet: { readonly data?: unknown }): number =>
  packetBytes +
  (typeof packet.data === "string"
    ? packet.data.length
    : packet.data instanceof Uint8Array
      ? packet.data.byteLength
      : 0)

/**
 * Closes the transport under a socket, so that its client comes back, and sends
 * nothing more until it is closed.
 */
export const closeTransport = (socket: Socket): void => {
  for (const room of socket.rooms) socket.leave(room)
  socket.conn.close(true)
}

type Limits = Pick<
  RealtimeOptions,
  "outgoingBytesLagging" | "outgoingBytesMax" | "outgoingTotalBytesMax" | "readerPatience"
>

/** What is done about a socket that reads too slowly. */
export interface Listeners {
  /** Closes its transport now. */
  readonly overflow: () => void
  /** +1: the socket lags; -1: it has caught up, or is gone. */
  readonly lagging: (change: 1 | -1) => void
}

export interface OutgoingGuard {
  readonly watch: (socket: Socket, on: Listeners) => void
}

/** One socket with waiting packets, or packets under way. */
interface Reader {
  /** Bytes that wait, including those under way through its transport. */
  bytes: () => number
  /** The bytes under way have reached the operating system, or less of it waits than before. */
  hasProgress: () => boolean
  stuckSince: number | undefined
  readonly cut: () => void
}

const checkMillis = 1000

/** Tracks what waits for one socket. `changed` is called after each change of the sum. */
const makeReader = (socket: Socket, options: Limits, on: Listeners, changed: (reader: Reader) => void) => {
  let waitingBytes = 0
  let movingBytes = 0
  let pendingBytes = Number.POSITIVE_INFINITY
  let isLagging = false
  let isClosed = false
  const reader: Reader = {
    bytes: () => (isClosed ? 0 : waitingBytes + movingBytes),
    hasProgress: () => {
      if (socket.conn.transport.writable) {
        movingBytes = 0
        changed(reader)
        return true
      }
      const before = pendingBytes
      pendingBytes = socket.conn.request.socket.writableLength
      return pendingBytes > 0 && pendingBytes < before
    },
    stuckSince: undefined,
    cut: () => {
      if (isClosed) return
      isClosed = true
      changed(reader)
      on.overflow()
      // Not inside the broadcast, which is iterating over the rooms.
      queueMicrotask(() => closeTransport(socket))
    }
  }
  socket.conn.on("packetCreate", (packet) => {
    waitingBytes += bytesOf(packet)
    if (waitingBytes > options.outgoingBytesLagging && !isLagging && !isClosed) {
      isLagging = true
      on.lagging(1)
      socket.join(Room.lagging)
    }
    if (waitingBytes > options.outgoingBytesMax) reader.cut()
    changed(reader)
  })
  const catchUp = () => {
    if (!isLagging) return
    isLagging = false
    on.lagging(-1)
    socket.leave(Room.lagging)
  }
  // The engine passes on waiting packets when those under way were sent.
  socket.conn.on("flush", () => {
    movingBytes = waitingBytes
    waitingBytes = 0
    reader.stuckSince = undefined
    changed(reader)
    catchUp()
  })
  socket.once("disconnect", () => {
    isClosed = true
    catchUp()
    changed(reader)
  })
}

/** The sum over all readers, and the readers for which anything waits. */
const makeReaders = (options: Limits) => {
  const readers = new Map<Reader, number>()
  /** Open while anything waits for any reader. */
  const isNeeded = Effect.unsafeMakeLatch(false)
  let totalBytes = 0
  const largest = (): Reader | undefined => {
    let found: Reader | undefined
    for (const reader of readers.keys()) if (reader.bytes() > (found?.bytes() ?? 0)) found = reader
    return found
  }
  return {
    isNeeded: isNeeded.await,
    changed: (reader: Reader) => {
      const bytes = reader.bytes()
      totalBytes += bytes - (readers.get(reader) ?? 0)
      if (bytes === 0) readers.delete(reader)
      else readers.set(reader, bytes)
      if (readers.size === 0) isNeeded.unsafeClose()
      else isNeeded.unsafeOpen()
      setOutgoingBytes(totalBytes)
      if (totalBytes > options.outgoingTotalBytesMax) largest()?.cut()
    },
    /** Closes the readers that have read nothing for `readerPatience`. */
    check: (nowMillis: number, patienceMillis: number) => {
      for (const reader of readers.keys()) {
        if (reader.hasProgress()) reader.stuckSince = undefined
        else if (nowMillis - (reader.stuckSince ??= nowMillis) >= patienceMillis) reader.cut()
      }
    }
  }
}

/**
 * Bounds what waits for sockets.
 *
 * **Details**
 *
 * - Beyond `outgoingBytesLagging` a socket joins the room of those that miss
 *   repeated signs of life; beyond `outgoingBytesMax` its transport is closed.
 * - When more than `outgoingTotalBytesMax` wait for all sockets together, the one
 *   with most is closed.
 * - A socket that takes nothing for `readerPatience`, while something waits for it
 *   in this process, is closed.
 *
 * **Source**: events of a socket, https://socket.io/docs/v4/engine-io-protocol/
 */
export const make = (options: Limits): Effect.Effect<OutgoingGuard, never, Scope.Scope> =>
  Effect.gen(function* () {
    const readers = makeReaders(options)
    const clock = yield* Effect.clock
    const patienceMillis = Duration.toMillis(options.readerPatience)
    yield* Effect.sync(() => readers.check(clock.unsafeCurrentTimeMillis(), patienceMillis)).pipe(
      Effect.delay(checkMillis),
      // No timer runs while all clients read.
      (check) => Effect.zipRight(readers.isNeeded, check),
      Effect.forever,
      Effect.forkScoped
    )
    return { watch: (socket, on) => makeReader(socket, options, on, readers.changed) }
  })
