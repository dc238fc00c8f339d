/**
 * Goal: README.md says that five milliseconds alone do not explain the incident.
 * Method: an hour of the slowest strategy in virtual time, which takes the processor for some seconds.
 */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Verdict from "../../src/Verdict.ts"
import * as VirtualRun from "../../src/VirtualRun.ts"

it.live(
  "holds for an hour at the tick of the incident, where not even the loop collapses",
  () =>
    Effect.gen(function* () {
      const loop = yield* VirtualRun.run({
        strategy: "per-row-roundtrip",
        sessionCount: 9,
        database: "sqlite",
        connections: 1,
        seconds: 3_600,
        seed: 1,
        disk: "real",
        hasForeignLock: false,
        roundTripMillis: 5,
        flushIntervalMillis: 5_000,
        rows: "together"
      })
      assert.strictEqual(Verdict.of(loop), "steady")
      assert.isAbove(loop.registration.count, 8_000)
    }),
  120_000
)
