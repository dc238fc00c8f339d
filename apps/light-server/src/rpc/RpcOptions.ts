/** Every knob of the relay of calls. */
import type { Duration } from "effect"

export interface RpcOptions {
  /** Longest wait for the answer of a registrant. Counts from the request to it. */
  readonly callTimeout: Duration.DurationInput
  /**
   * How long a call waits for a machine or session whose last socket has just
   * left. Shorter than the time after which it is shown offline.
   */
  readonly awayGrace: Duration.DurationInput
  /** Methods that one socket may have registered at once. */
  readonly methodLimit: number
  /** Calls of one socket that are not answered yet. */
  readonly callLimit: number
  /** Requests that one registrant has not answered yet, calls whose caller is gone included. */
  readonly requestLimit: number
  /** Largest params, and largest result, in bytes. */
  readonly payloadBytesMax: number
}

/**
 * Defaults for daemons and agents with tens of methods each, and apps that read
 * many files at once. One message carries the payload, so `payloadBytesMax` is
 * effective below the largest message of the socket server.
 */
export const defaults: RpcOptions = {
  callTimeout: "30 seconds",
  awayGrace: "12 seconds",
  methodLimit: 256,
  callLimit: 64,
  requestLimit: 128,
  payloadBytesMax: 1_048_576
}
