/** The event `usage-report`. */
import { Effect, Layer, Schema } from "effect"
import { EventRegistry, type Refusal } from "../realtime/events/EventRegistry.ts"
import { UsageLog } from "./UsageLog.ts"
import * as UsageReport from "./UsageReport.ts"

const failed = (error: string) => ({ success: false, error })

const errors: { readonly [reason in Refusal]: string } = {
  invalid: "Invalid key",
  "too-large": "Usage report is too large",
  limited: "Failed to save usage report",
  failed: "Failed to save usage report"
}

export const layer: Layer.Layer<never, never, EventRegistry | UsageLog> = Layer.effectDiscard(
  Effect.gen(function* () {
    const events = yield* EventRegistry
    const usage = yield* UsageLog
    yield* events.on({
      event: "usage-report",
      // The answer names the field that does not fit, so the report is decoded there.
      payload: Schema.Unknown,
      keep: { withoutAck: "silence", isRepeatable: () => true },
      refusal: (reason) => failed(errors[reason]),
      answer: ({ accountId }, payload) =>
        Effect.gen(function* () {
          const report = yield* UsageReport.decode(payload)
          const receipt = yield* usage.report(accountId, report)
          return { success: true, ...receipt }
        }).pipe(
          Effect.catchAll((failure) => {
            if (typeof failure === "string") return Effect.succeed(failed(failure))
            return failure._tag === "NotFound" ? Effect.succeed(failed("Session not found")) : Effect.fail(failure)
          })
        )
    })
  })
)
