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

  it("lets a kind have terms of its own, checks them with the common ones, and names the kind", () => {
    const sensor = { offlineTimeout: "1 minute", acceptanceWindow: "4 minutes", disconnectGrace: 0 } as const
    assert.deepStrictEqual(problemsOf({ kinds: { sensor } }), [])
    const { acceptanceWindow: _, ...wide } = sensor
    assert.deepStrictEqual(problemsOf({ kinds: { sensor: wide } }), [
      "acceptanceWindow (600000 ms) must not exceed four times kinds.sensor.offlineTimeout (60000 ms): such a " +
        "heartbeat is accepted and means nobody is there"
    ])
    assert.match(
      problemsOf({ kinds: { sensor: { disconnectGrace: "2 minutes" } } }).join(),
      /^startGrace \(60000 ms\) must not be shorter than kinds\.sensor\.disconnectGrace \(120000 ms\)/
    )
    assert.match(
      problemsOf({ kinds: { sensor: { persistThreshold: "Infinity" as never, offlineTimeout: 0 } } }).join("\n"),
      /kinds\.sensor\.persistThreshold must be .* zero or more\nkinds\.sensor\.offlineTimeout must be .* above zero/
    )
  })

  it("reports a problem of the common terms once, however many kinds have terms of their own", () => {
    assert.lengthOf(problemsOf({ startGrace: 0, kinds: { a: { persistThreshold: 0 }, b: {} } }), 1)
  })

  it("refuses terms of a kind that is not declared, and a declaration that does not hold", () => {
    const both = PresenceConfig.resolve({ kinds: { sensr: {} } }, undefined, { sensor: {}, "2": {} })
    assert.match(
      Either.match(both, { onLeft: ({ message }) => message, onRight: () => "" }),
      /a kind must be named by a letter.*got "2"\n- kinds\.sensr: no such kind is declared, only 2, sensor/
    )
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
