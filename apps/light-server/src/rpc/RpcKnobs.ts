/** The settings of calls between two sockets. */
import * as Knob from "../ConfigKnob.ts"

export const knobs = {
  callTimeout: Knob.millis("HAPPIER_RPC_CALL_TIMEOUT_MS", {
    fallback: "30 seconds",
    min: 100,
    max: "10 minutes",
    meaning: "How long a call from one socket to another waits for its answer."
  })
}
