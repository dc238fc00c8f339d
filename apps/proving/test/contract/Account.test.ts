/**
 * Goal: an account reads its own data, and two devices replace settings without
 * losing each other's.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { contract, Wire } from "../../src/contract/Wire.ts"

const publicUrl = "https://happier.example.org"

contract(
  "Account",
  (it) => {
    it.scoped("shows a new account with its id and nothing that it never sent", () =>
      Effect.gen(function* () {
        const { person } = yield* Wire
        const somebody = yield* person()
        const { timestamp, ...profile } = yield* somebody.call("GET /v1/account/profile", 200)
        assert.approximately(timestamp, Date.now(), 60_000)
        assert.deepStrictEqual(profile, {
          id: somebody.id,
          firstName: null,
          lastName: null,
          username: null,
          avatar: null,
          github: null,
          connectedServices: []
        })
      })
    )

    it.scoped("replaces settings at the version that is expected, and else answers with the current ones", () =>
      Effect.gen(function* () {
        const { person } = yield* Wire
        const { call } = yield* person()
        const replace = (settings: string | null, expectedVersion: number) =>
          call("POST /v1/account/settings", 200, { body: { settings, expectedVersion } })
        assert.deepStrictEqual(yield* call("GET /v1/account/settings", 200), { settings: null, settingsVersion: 0 })
        assert.deepStrictEqual(yield* replace("first", 0), { success: true, version: 1 })
        assert.deepStrictEqual(yield* replace("other", 0), {
          success: false,
          error: "version-mismatch",
          currentVersion: 1,
          currentSettings: "first"
        })
        const both = yield* Effect.all([replace("a", 1), replace("b", 1)], { concurrency: "unbounded" })
        assert.deepStrictEqual(both.map(({ success }) => success).toSorted(), [false, true])
        assert.deepStrictEqual(yield* replace(null, 2), { success: true, version: 3 })
        assert.deepStrictEqual(yield* call("GET /v1/account/settings", 200), { settings: null, settingsVersion: 3 })
      })
    )

    it.scoped("names the field of settings that does not fit", () =>
      Effect.gen(function* () {
        const { person } = yield* Wire
        const { call } = yield* person()
        for (const [body, message] of [
          [{ settings: "s" }, "body/expectedVersion is required"],
          [{ expectedVersion: 0 }, "body/settings is required"]
        ] as const) {
          assert.strictEqual((yield* call("POST /v1/account/settings", 400, { body })).message, message)
        }
        yield* call("POST /v1/account/settings", 400, { body: { settings: "s", expectedVersion: -1 } })
        yield* call("POST /v1/account/settings", 400, { body: { settings: "s", expectedVersion: "0" } })
      })
    )

    it.scoped("returns its features without a token", () =>
      Effect.gen(function* () {
        const { call } = yield* Wire
        const { capabilities, features } = yield* call("GET /v1/features", 200)
        assert.include(features, { sessionSharing: false, publicSharing: false, contentKeys: true })
        // What is not served is not offered, in the later form of the answer either.
        const { auth, sharing, social, voice } = features
        assert.isTrue(sharing.contentKeys.enabled && auth.login.keyChallenge.enabled)
        for (const gate of [sharing.session, sharing.public, sharing.pendingQueueV2, social.friends, voice]) {
          assert.isFalse(gate.enabled)
        }
        assert.deepStrictEqual(capabilities, { server: { canonicalServerUrl: publicUrl } })
      })
    )

    it.scoped("answers a ping with a token, with an answer that must not be cached", () =>
      Effect.gen(function* () {
        const { person, request } = yield* Wire
        const { call, token } = yield* person()
        yield* call("GET /v1/auth/ping", 200)
        for (const [status, authorization] of [
          [200, `Bearer ${token}`],
          [401, "Bearer x"]
        ] as const) {
          const answer = yield* request("GET", "/v1/auth/ping", { headers: { authorization } })
          assert.strictEqual(answer.status, status)
          assert.strictEqual(answer.headers["cache-control"], "no-store")
        }
      })
    )
  },
  { PUBLIC_URL: publicUrl }
)
