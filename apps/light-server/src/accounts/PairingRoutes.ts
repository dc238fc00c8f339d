/** The routes of pairing: of a terminal, and of a new device of the account. */
import { Effect, Layer, Schema } from "effect"
import { HttpApp } from "../http/HttpApp.ts"
import { Pairing } from "./Pairing.ts"
import type { PairingKind } from "./PairingStore.ts"

/** The base64 texts that clients send are short; longer ones are rejected. */
const Key = Schema.String.pipe(Schema.maxLength(1024))

const Question = Schema.Struct({
  publicKey: Key,
  supportsV2: Schema.optionalWith(Schema.Boolean, { nullable: true, default: () => false })
})

const StatusQuery = Schema.Struct({ publicKey: Key })

const Reply = Schema.Struct({ publicKey: Key, response: Schema.String.pipe(Schema.maxLength(16_384)) })

/** The paths at which each kind asks and is answered. */
const paths: { readonly [kind in PairingKind]: string } = { terminal: "/v1/auth", account: "/v1/auth/account" }

const limited = { limitedAs: "auth" } as const

export const layer: Layer.Layer<never, never, HttpApp | Pairing> = Layer.effectDiscard(
  Effect.gen(function* () {
    const http = yield* HttpApp
    const pairing = yield* Pairing
    yield* http.register((app) => {
      for (const kind of ["terminal", "account"] as const) {
        app.post(`${paths[kind]}/request`, { config: limited, schema: { body: Question } }, (request, reply) =>
          http.answer(request, reply, pairing.request(kind, request.body.publicKey, request.body.supportsV2))
        )
        app.post(
          `${paths[kind]}/response`,
          { onRequest: http.authenticate, schema: { body: Reply } },
          (request, reply) =>
            http.answer(
              request,
              reply,
              pairing
                .answer(kind, request.body.publicKey, {
                  accountId: request.accountId,
                  response: request.body.response
                })
                .pipe(Effect.as({ success: true }))
            )
        )
      }
      app.get("/v1/auth/request/status", { config: limited, schema: { querystring: StatusQuery } }, (request, reply) =>
        http.answer(request, reply, pairing.status("terminal", request.query.publicKey))
      )
    })
  })
)
