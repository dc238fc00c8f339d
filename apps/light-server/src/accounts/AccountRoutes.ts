/**
 * Routes about the account of the token: its profile, its settings, the
 * revocation of its tokens. Also the features of this server, which need no
 * token.
 */
import { Clock, Effect, Layer, Option, Schema } from "effect"
import { invalidToken } from "../Failure.ts"
import * as AnyBody from "../http/AnyBody.ts"
import { HttpApp } from "../http/HttpApp.ts"
import { AccountSettings, type Replaced } from "./AccountSettings.ts"
import { SettingsStore } from "./SettingsStore.ts"
import { TokenRevocation } from "./TokenRevocation.ts"

export interface Options {
  /** The URL at which clients reach this server, if it is configured. */
  readonly publicUrl?: string | undefined
}

/**
 * What this server offers, in the earlier form (three flags) and in the later one (a gate for each feature, absent
 * gates are closed). There is no sharing, and the content keys of accounts are checked and kept.
 */
const featuresOf = ({ publicUrl }: Options) => ({
  features: {
    sessionSharing: false,
    publicSharing: false,
    contentKeys: true,
    sharing: {
      session: { enabled: false },
      public: { enabled: false },
      contentKeys: { enabled: true },
      pendingQueueV2: { enabled: false }
    },
    social: { friends: { enabled: false } },
    voice: { enabled: false },
    auth: { login: { keyChallenge: { enabled: true } } }
  },
  capabilities: publicUrl === undefined ? {} : { server: { canonicalServerUrl: publicUrl } }
})

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

export const layer = (
  options: Options = {}
): Layer.Layer<never, never, HttpApp | AccountSettings | SettingsStore | TokenRevocation> =>
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
          return { ...found.value, timestamp, github: null }
        })

      yield* http.register((app) => {
        const features = featuresOf(options)
        app.get("/v1/features", { config: { limitedAs: "auth" } }, () => features)
      })
      yield* http.register((app) => {
        // Before the token is checked, so that proxies do not store refusals either.
        app.addHook("onRequest", async (_request, reply) => {
          reply.header("cache-control", "no-store")
        })
        app.addHook("onRequest", http.authenticate)
        app.get("/v1/auth/ping", (request, reply) => http.answer(request, reply, Effect.succeed({ ok: true })))
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
        AnyBody.ignore(app)
        app.post("/v1/auth/revoke", (request, reply) =>
          http.answer(request, reply, Effect.as(revocation.revoke(request.accountId), { success: true }))
        )
      })
    })
  )
