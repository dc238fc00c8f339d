import { assert, describe, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as PresenceConfig from "../../src/presence/PresenceConfig.ts"

const problemsOf = (given: Partial<PresenceConfig.PresenceConfig>): ReadonlyArray<string> =>
  Either.match(PresenceConfig.resolve(given), { onLeft: ({ problems }) => problems, onRight: () => [] })

describe("resolve", () => {
  it("accepts the defaults", () => {
    assert.deepStrictEqual(Either.getOrThrow(PresenceConfig.resolve()), PresenceConfig.defaults)
  })

  it("names every knob that is out of range", () => {
    for (const knob of ["interval", "acceptanceWindow", "offlineTimeout", "sweepInterval", "chunkHold"] as const) {
      assert.match(
        problemsOf({ [knob]: 0 }).join("\n"),
        new RegExp(`^${knob} must be a finite duration above zero`, "m")
      )
    }
    for (const knob of ["persistThreshold", "disconnectGrace", "startGrace", "drainTimeout"] as const) {
      assert.match(problemsOf({ [knob]: "Infinity" as never }).join("\n"), new RegExp(`^${knob} must be a finite`, "m"))
    }
    for (const knob of ["capacity", "chunkRows"] as const) {
      assert.match(problemsOf({ [knob]: 0.5 }).join("\n"), new RegExp(`^${knob} must be a whole number`, "m"))
    }
  })

  it("allows no threshold, no grace and no last flush", () => {
    assert.deepStrictEqual(problemsOf({ persistThreshold: 0, disconnectGrace: 0, startGrace: 0, drainTimeout: 0 }), [])
  })

  it("refuses knobs that contradict each other", () => {
    assert.match(problemsOf({ offlineTimeout: "35 seconds" })[0] ?? "", /persistThreshold \(30000 ms\) and interval/)
    assert.match(problemsOf({ disconnectGrace: "10 minutes" })[0] ?? "", /disconnectGrace .* below offlineTimeout/)
    assert.match(problemsOf({ startGrace: "14 seconds" })[0] ?? "", /startGrace .* shorter than disconnectGrace/)
    assert.match(problemsOf({ acceptanceWindow: "1 hour" })[0] ?? "", /acceptanceWindow .* offlineTimeout/)
  })

  it("reports all problems at once", () => {
    assert.strictEqual(problemsOf({ capacity: 0, chunkRows: 0, drainTimeout: -1 }).length, 2)
  })
})

describe("config", () => {
  it.effect("reads each knob by its name and falls back to the defaults", () =>
    Effect.gen(function* () {
      const provider = ConfigProvider.fromMap(
        new Map([
          ["PRESENCE_INTERVAL", "2 seconds"],
          ["PRESENCE_CHUNK_ROWS", "99"]
        ]),
        {
          pathDelim: "_"
        }
      ).pipe(ConfigProvider.constantCase)
      const config = yield* Effect.withConfigProvider(
        Config.nested(PresenceConfig.config, "presence"),
        ConfigProvider.constantCase(provider)
      )
      assert.strictEqual(Duration.toMillis(config.interval), 2_000)
      assert.strictEqual(config.drainTimeout, PresenceConfig.defaults.drainTimeout)
    })
  )
})
