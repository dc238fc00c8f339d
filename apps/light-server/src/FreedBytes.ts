/**
 * Frees large buffers at once. Left to the garbage collector, eight megabytes for each page of a list made it collect
 * the whole heap after every few pages, in the event loop: up to 50 ms each time.
 */

/** What is transferred to a port that is closed is gone. */
const { port1: gone } = new MessageChannel()
gone.close()

/** Smaller ones are left to the garbage collector. */
const bytesMin = 262_144

/**
 * The memory of `bytes` and of every view of it; none of them may be used any more, also not by a write that is under
 * way. Does nothing for a part of a larger buffer.
 */
export const free = ({ buffer, byteLength }: Uint8Array): void => {
  if (byteLength < bytesMin || byteLength !== buffer.byteLength || !(buffer instanceof ArrayBuffer)) return
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port has no origin, as a window has
  gone.postMessage(undefined, [buffer])
}
