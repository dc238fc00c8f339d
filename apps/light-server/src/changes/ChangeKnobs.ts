/** The settings of the feed of changes. */
import * as Knob from "../ConfigKnob.ts"

export const knobs = {
  retention: Knob.millis("HAPPIER_CHANGES_RETENTION_MS", {
    fallback: "90 days",
    min: 0,
    max: "3660 days",
    meaning:
      "How long a change stays in the feed of its account; 0: for ever. A client that was away for longer starts over."
  })
}
