/**
 * Goal: what an account is shown of itself, and settings that two devices replace
 * without losing each other's.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { contract, Wire } from "../../src/contract/Wire.ts"

contract("Account", (it) => {
  it.scoped("shows a new account with its id and nothing that it never said", () =>
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

  it.scoped("tells anybody what it can do", () =>
    Effect.gen(function* () {
      const { call } = yield* Wire
      assert.deepStrictEqual(yield* call("GET /v1/features", 200), {
        features: { sessionSharing: false, publicSharing: false, contentKeys: true }
      })
    })
  )
})
