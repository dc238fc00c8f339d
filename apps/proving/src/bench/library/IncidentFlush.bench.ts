/**
 * T2: a flush against the pattern of the incident.
 *
 * One `updateMany` of a Prisma client per session, each waiting for the one
 * before, against one flush of the same sessions. Both in this process, each on
 * a file of its own, with the log copied outside of what is measured on our side
 * and by SQLite's own checkpoints on the other, as it was.
 */
import * as Effect from "effect/Effect"
import * as Lane from "presence-effect/writer/Lane"
import type { Question } from "../Result.ts"
import * as Rounds from "../Rounds.ts"
import * as Latency from "./support/Latency.ts"
import * as PrismaSessions from "./support/PrismaSessions.ts"
import * as SampleFile from "./support/SampleFile.ts"
import * as Stack from "./support/Stack.ts"

const sessionCount = 20_000

/** The bare statement of T1 is itself no more than 11, 21 and 18 times faster. */
const plans = [
  {
    rows: 9,
    ratioMin: 5,
    rounds: 7,
    ours: { timeMillis: 150, iterations: 20 },
    incident: { timeMillis: 300, iterations: 20 }
  },
  {
    rows: 100,
    ratioMin: 15,
    rounds: 7,
    ours: { timeMillis: 150, iterations: 10 },
    incident: { timeMillis: 300, iterations: 4 }
  },
  {
    rows: 1_000,
    ratioMin: 15,
    rounds: 5,
    ours: { timeMillis: 150, iterations: 5 },
    incident: { timeMillis: 1, iterations: 2 }
  }
]

export const question: Question = async (report) => {
  const stack = await Stack.open({ filename: SampleFile.make({ sessionCount }), place: "in-process" })
  const prisma = PrismaSessions.open(SampleFile.make({ sessionCount }))
  let seenAtMillis = SampleFile.createdAtMillis
  let batch = SampleFile.batch(0, sessionCount, seenAtMillis)
  const next = (rows: number) => () => {
    batch = SampleFile.batch(rows, sessionCount, (seenAtMillis += 1_000))
  }
  for (const { incident, ours, ratioMin, rounds, rows } of plans) {
    const written = await prisma.flush(SampleFile.batch(rows, sessionCount, (seenAtMillis += 1_000)))
    if (written !== rows) throw new Error(`the other side wrote ${written} of ${rows} rows`)
    const { ratio, sides } = await Rounds.measure(rounds, {
      ours: async () => {
        const millis = await Latency.p50Millis(() => Effect.runPromise(stack.storage.flush(batch)), {
          ...ours,
          prepare: next(rows)
        })
        await Effect.runPromise(stack.writer.checkpoint(Lane.maintenance, "passive"))
        return millis
      },
      incident: () => Latency.p50Millis(() => prisma.flush(batch), { ...incident, prepare: next(rows) })
    })
    const faster = ratio("incident", "ours")
    report({
      id: `T2@${rows}`,
      ours: sides.ours.median,
      theirs: sides.incident.median,
      unit: "ms",
      ratio: faster,
      target: `ratio >= ${ratioMin}`,
      met: faster >= ratioMin,
      note: `${Rounds.spread(sides.ours)} against ${Rounds.spread(sides.incident)}`
    })
  }
  await prisma.close()
  await stack.close()
}
