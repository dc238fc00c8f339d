/** `POST /v2/usage-reports` and `POST /v1/usage/query`. */
import { Effect, Layer } from "effect"
import { InvalidInput } from "../Failure.ts"
import { HttpApp } from "../http/HttpApp.ts"
import * as JsonBytes from "../http/JsonBytes.ts"
import * as TruncationHeader from "../http/TruncationHeader.ts"
import { UsageLog } from "./UsageLog.ts"
import { UsageQuery } from "./UsageQuery.ts"
import * as UsageReport from "./UsageReport.ts"

const decode = (body: unknown): Effect.Effect<UsageReport.UsageReport, InvalidInput> =>
  Effect.mapError(UsageReport.decode(body), () => new InvalidInput({ error: "Invalid parameters" }))

export const layer: Layer.Layer<never, never, HttpApp | UsageLog> = Layer.effectDiscard(
  Effect.gen(function* () {
    const http = yield* HttpApp
    const usage = yield* UsageLog
    yield* http.register((app) => {
      app.addHook("onRequest", http.authenticate)
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
      // A query has a body, and changes nothing.
      app.post(
        "/v1/usage/query",
        { config: { limitedAs: "reads", priority: "heavy" }, schema: { body: UsageQuery } },
        (request, reply) =>
          http.answer(
            request,
            reply,
            Effect.map(usage.periods(request.accountId, request.body), ({ isCut, json }) => {
              if (isCut) reply.header(TruncationHeader.header, "reports")
              return JsonBytes.of(reply, json)
            })
          )
      )
    })
  })
)
