import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { knobsOf } from "../../src/config/KnobTable.ts"
import * as OtherNames from "../../src/config/OtherNames.ts"
import * as ServerConfig from "../../src/config/ServerConfig.ts"

const load = (environment: ServerConfig.Environment) => ServerConfig.load({ HOME: "/home/someone", ...environment })

const warningsOf = (environment: ServerConfig.Environment) => Effect.map(load(environment), ({ warnings }) => warnings)

const names = knobsOf(ServerConfig.rooms).flatMap(({ aliases, name }) => [name, ...aliases])

describe("OtherNames", () => {
  it.effect("suggests the closest known variable for an unknown name", () =>
    Effect.gen(function* () {
      const warnings = yield* warningsOf({
        HAPPIER_PRESENCE_FLUSH_INTERVALL_MS: "5000",
        HAPPIER_DB_TX_MAX_RETRIES: "8",
        HAPPIER_SERVER_URL: "http://localhost",
        HAPPIER_ENTIRELY_DIFFERENT_THING: "1",
        HANDY_MASTER_SECRETS: "a-secret-that-is-long-enough",
        HAPPY_EMPTY: "",
        PATH: "/bin"
      })
      assert.deepStrictEqual(warnings, [
        "HAPPIER_PRESENCE_FLUSH_INTERVALL_MS is not known, did you mean HAPPIER_PRESENCE_FLUSH_INTERVAL_MS?",
        "HAPPIER_DB_TX_MAX_RETRIES has no effect here: retries end with the deadline of their lane",
        "HAPPIER_ENTIRELY_DIFFERENT_THING is not known and has no effect",
        "HANDY_MASTER_SECRETS is not known, did you mean HANDY_MASTER_SECRET?"
      ])
    })
  )

  it.effect("warns of every removed setting, whatever its value, and names its replacement", () =>
    Effect.gen(function* () {
      for (const [name, successor] of Object.entries(OtherNames.retired)) {
        assert.deepStrictEqual(yield* warningsOf({ [name]: "anything" }), [
          `${name} has no effect any more: ${successor}`
        ])
      }
    })
  )

  it("refers to settings that exist, and lists none of them as removed", () => {
    const tables = { ...OtherNames.withoutEffect, ...OtherNames.retired, ...OtherNames.refused }
    for (const [name, reason] of Object.entries(tables)) {
      assert.notInclude(names, name)
      for (const [mentioned] of reason.matchAll(/\b(?:HAPPIER|AUTH|DATABASE)_[A-Z_]+\b/g)) {
        assert.include(names, mentioned, name)
      }
    }
  })

  for (const [name, value, read, expected] of [
    ["HAPPIER_SERVER_HOST", "0.0.0.0", "host", "0.0.0.0"],
    ["HAPPIER_SERVER_PORT", "4000", "port", 4000],
    ["HAPPIER_PUBLIC_SERVER_URL", "https://a.example/happier/", "publicUrl", "https://a.example/happier"],
    ["HAPPIER_SERVER_TRUST_PROXY", "0", "trustedProxies", []],
    ["HAPPIER_SERVER_TRUST_PROXY", "loopback", "trustedProxies", ["loopback"]],
    ["AUTH_ANONYMOUS_SIGNUP_ENABLED", "0", "signUp", "closed"]
  ] as const) {
    it.effect(`understands ${name}=${value} of the other server`, () =>
      Effect.gen(function* () {
        const { config, warnings } = yield* load({ [name]: value })
        assert.deepStrictEqual<unknown>(config[read], expected)
        assert.deepStrictEqual(warnings, [])
      })
    )
  }

  it.effect("refuses the name of the other server beside a different value of ours", () =>
    Effect.gen(function* () {
      const { problems } = yield* Effect.flip(load({ HOST: "::1", HAPPIER_SERVER_HOST: "0.0.0.0" }))
      assert.deepStrictEqual(problems, [
        `HOST is "::1" and HAPPIER_SERVER_HOST is "0.0.0.0", but both are the same setting; remove one of them`
      ])
      const { config } = yield* load({
        PUBLIC_URL: "https://a.example",
        HAPPIER_PUBLIC_SERVER_URL: "https://A.example/"
      })
      assert.strictEqual(config.publicUrl, "https://a.example")
    })
  )
})
