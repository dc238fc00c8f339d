/** Every option of the relay of calls. */
import type { Duration } from "effect"
import * as Knob from "../ConfigKnob.ts"
import * as HttpKnobs from "../http/HttpKnobs.ts"
import { knobs } from "./RpcKnobs.ts"

export interface RpcOptions extends Knob.Values<typeof knobs> {
  /**
   * How long a call waits for a machine or session whose last socket has just
   * disconnected. Shorter than the time after which it is shown offline.
   */
  readonly awayGrace: Duration.DurationInput
  /** Methods that one socket may have registered at once. */
  readonly methodLimit: number
  /** Calls of one socket that are not answered yet. */
  readonly callLimit: number
  /** Requests that one registrant has not answered yet, including those of callers that have disconnected. */
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
  ...Knob.defaultsOf(knobs),
  awayGrace: "12 seconds",
  methodLimit: 256,
  callLimit: 64,
  requestLimit: 128,
  payloadBytesMax: HttpKnobs.knobs.bodyLimitBytes.fallback
}

/** The options that follow from the settings of the server. */
export const optionsOf = (
  values: Knob.Values<typeof knobs>,
  { bodyLimitBytes }: { readonly bodyLimitBytes: number }
): RpcOptions => ({ ...defaults, ...values, payloadBytesMax: bodyLimitBytes })
