/** What may wait for one slow reader. */
import type { RealtimeOptions } from "../RealtimeOptions.ts"
import * as Room from "./Room.ts"
import type { Socket } from "../Socket.ts"

/** About what a packet takes besides its text, so that many small ones are not free. */
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

/**
 * Watches what waits for `socket`: beyond `outgoingBytesLagging` it joins the
 * room of those who miss repeated signs of life, beyond `outgoingBytesMax` its
 * transport is closed and `overflow` is called. The bytes handed to the
 * operating system last are not counted, and never more than `outgoingBytesMax`.
 *
 * **Source**: events of a socket, https://socket.io/docs/v4/engine-io-protocol/
 */
export const watch = (
  socket: Socket,
  options: Pick<RealtimeOptions, "outgoingBytesLagging" | "outgoingBytesMax">,
  on: {
    readonly overflow: () => void
    /** +1: the socket lags; -1: it has caught up, or is gone. */
    readonly lagging: (change: 1 | -1) => void
  }
): void => {
  let waitingBytes = 0
  let isLagging = false
  let isClosed = false
  socket.conn.on("packetCreate", (packet) => {
    waitingBytes += bytesOf(packet)
    if (waitingBytes > options.outgoingBytesLagging && !isLagging && !isClosed) {
      isLagging = true
      on.lagging(1)
      socket.join(Room.lagging)
    }
    if (waitingBytes > options.outgoingBytesMax && !isClosed) {
      isClosed = true
      on.overflow()
      // Not inside the broadcast that is walking through the rooms.
      queueMicrotask(() => closeTransport(socket))
    }
  })
  const catchUp = () => {
    waitingBytes = 0
    if (!isLagging) return
    isLagging = false
    on.lagging(-1)
    socket.leave(Room.lagging)
  }
  socket.conn.on("flush", catchUp)
  socket.once("disconnect", () => {
    isClosed = true
    catchUp()
  })
}
