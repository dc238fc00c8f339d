/**
 * T5: what a heartbeat costs beside keeping a time in a bare `Map`.
 *
 * Both sides get the same keys, a million calls at a time, as fast as one core
 * goes, and read the clock for each call: that costs 20 ns on one machine and 50
 * on another.
 */
import * as Context from "effect/Context"
import * as Presence from "presence-effect/Presence"
import type { Question } from "../Result.ts"
import * as Rounds from "../Rounds.ts"
import * as SampleFile from "./support/SampleFile.ts"
import { build } from "./support/Stack.ts"

const callCount = 1_000_000

/** The rows of one box, and those of a hundred: where rows no longer fit the caches, memory is what both wait for. */
const sizes = [1_000, 100_000]

class Sessions extends Presence.Tag("bench/Sessions", SampleFile.kinds)<Sessions>() {}

export const question: Question = async (report) => {
  for (const rowCount of sizes) {
    const keys = Array.from({ length: rowCount }, (_, index) => ({
      kind: "session" as const,
      accountId: SampleFile.accountId,
      id: SampleFile.sessionId(index)
    }))
    const { close, services } = await build(Presence.layerMemory(Sessions, { interval: "5 minutes" }))
    const presence = Context.get(services, Sessions)
    const bare = new Map<string, number>()
    const passes = callCount / rowCount

    const nanosPerCall = async (pass: () => void): Promise<number> => {
      const began = process.hrtime.bigint()
      for (let count = 0; count < passes; count++) pass()
      return Number(process.hrtime.bigint() - began) / callCount
    }
    const { ratio, sides } = await Rounds.measure(15, {
      ours: () =>
        nanosPerCall(() => {
          const now = Date.now()
          for (const key of keys) presence.beat(key, now)
        }),
      bare: () =>
        nanosPerCall(() => {
          for (const key of keys) bare.set(key.id, Date.now())
        })
    })
    const perSecond = 1e9 / sides.ours.median
    report({
      id: `T5@${rowCount}`,
      ours: sides.ours.median,
      theirs: sides.bare.median,
      unit: "ns",
      ratio: ratio("ours", "bare"),
      target: "ratio <= 2.5, 1 M/s",
      met: ratio("ours", "bare") <= 2.5 && perSecond >= 1_000_000,
      note: `${Rounds.digits(perSecond / 1e6)} million beats/s; ${Rounds.spread(sides.ours)}`
    })
    await close()
  }
}
