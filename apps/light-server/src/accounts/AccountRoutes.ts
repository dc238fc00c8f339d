/**
 * Routes about the account of the token: its profile, its settings, the end of
 * its tokens. And what this server can do, which anybody may ask.
 */
import { Clock, Effect, Layer, Option, Schema } from "effect"
import { invalidToken } from "../Failure.ts"
import { HttpApp } from "../http/HttpApp.ts"
import { AccountSettings, type Replaced } from "./AccountSettings.ts"
import { SettingsStore } from "./SettingsStore.ts"
import { TokenRevocation } from "./TokenRevocation.ts"

/** Nobody shares here; the content keys of accounts are checked and kept. */
const features = { sessionSharing: false, publicSharing: false, contentKeys: true }

const Change = Schema.Struct({ settings: Schema.NullOr(Schema.String), expectedVersion: Schema.NonNegativeInt })

const answerOf = ({ _tag, texts: [settings] }: Replaced) =>
  _tag === "Replaced"
    ? { success: true, version: settings.version }
    : {
        success: false,
        error: "version-mismatch",
        currentVersion: settings.version,
        currentSettings: settings.value
      }

export const layer: Layer.Layer<never, never, HttpApp | AccountSettings | SettingsStore | TokenRevocation> =
  Layer.effectDiscard(
    Effect.gen(function* () {
      const http = yield* HttpApp
      const store = yield* SettingsStore
      const settings = yield* AccountSettings
      const revocation = yield* TokenRevocation

      const profileOf = (accountId: string) =>
        Effect.gen(function* () {
          const found = yield* store.findProfile(accountId)
          if (Option.isNone(found)) return yield* invalidToken
          const timestamp = yield* Clock.currentTimeMillis
          return { ...found.value, timestamp, github: null, connectedServices: [] }
        })

      yield* http.register((app) => {
        app.get("/v1/features", { config: { limitedAs: "auth" } }, () => ({ features }))
      })
      yield* http.register((app) => {
        app.addHook("onRequest", http.authenticate)
        app.get("/v1/account/profile", (request, reply) => http.answer(request, reply, profileOf(request.accountId)))
        app.get("/v1/account/settings", (request, reply) =>
          http.answer(request, reply, settings.read(request.accountId))
        )
        app.post("/v1/account/settings", { schema: { body: Change } }, (request, reply) =>
          http.answer(
            request,
            reply,
            Effect.map(settings.replace({ accountId: request.accountId, ...request.body }), answerOf)
          )
        )
      })
      yield* http.register((app) => {
        app.addHook("onRequest", http.authenticate)
        // Nothing is asked of the body, and clients that send none label it as they like.
        app.removeAllContentTypeParsers()
        app.addContentTypeParser("*", { parseAs: "string" }, (_request, _body, done) => done(null))
        app.post("/v1/auth/revoke", (request, reply) =>
          http.answer(request, reply, Effect.as(revocation.revoke(request.accountId), { success: true }))
        )
      })
    })
  )
