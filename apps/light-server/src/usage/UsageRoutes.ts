/**
 * `POST /v2/usage-reports`.
 *
 * @since 0.1.0
 */
import { Effect, Either, Layer } from "effect"
import { InvalidInput } from "../http/Failure.ts"
import { HttpApp } from "../http/HttpApp.ts"
import { UsageLog } from "./UsageLog.ts"
import * as UsageReport from "./UsageReport.ts"

/** Over HTTP a report is always about a session. */
const decode = (body: unknown): Effect.Effect<UsageReport.UsageReport, InvalidInput> => {
  const decoded = UsageReport.decode(body)
  return Either.isRight(decoded) && decoded.right.sessionId !== undefined
    ? Effect.succeed(decoded.right)
    : Effect.fail(new InvalidInput({ error: "Invalid parameters" }))
}

/**
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never, never, HttpApp | UsageLog> = Layer.effectDiscard(
  Effect.gen(function* () {
    const http = yield* HttpApp
    const usage = yield* UsageLog
    yield* http.register((app) => {
      app.addHook("preHandler", http.authenticate)
      app.post("/v2/usage-reports", (request, reply) =>
        http.answer(
          request,
          reply,
          decode(request.body).pipe(
            Effect.flatMap((report) => usage.report(request.accountId, report)),
            Effect.map((receipt) => ({ success: true, ...receipt }))
          )
        )
      )
    })
  })
)
