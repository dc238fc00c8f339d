/** Event handlers that die: a defect of the program, which must not close the socket. */
import { Effect } from "effect"
import { countEvent } from "../RealtimeMetrics.ts"

/** Logs and counts a handler that dies or is interrupted, and calls `onFailure`. */
export const caught =
  (event: string, onFailure: () => void) =>
  (handler: Effect.Effect<void>): Effect.Effect<void> =>
    Effect.catchAllCause(handler, (cause) =>
      Effect.logError("An event handler died", cause).pipe(
        Effect.annotateLogs({ code: "EVENT_DEFECT", event }),
        Effect.zipRight(
          Effect.sync(() => {
            countEvent(event, "failed")
            onFailure()
          })
        )
      )
    )
