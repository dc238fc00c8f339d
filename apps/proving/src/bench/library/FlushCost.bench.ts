/**
 * T1: what a flush costs beside the bare statement.
 *
 * Both sides flush the same rows of equal files in this process, with the log
 * copied outside of what is measured. The bare side has no lanes, chunks, time
 * limits or mixed forms of time.
 */
import * as Effect from "effect/Effect"
import * as Lane from "presence-effect/writer/Lane"
import type { Question } from "../Result.ts"
import * as Rounds from "../Rounds.ts"
import * as Latency from "./support/Latency.ts"
import * as RawFlush from "./support/RawFlush.ts"
import * as SampleFile from "./support/SampleFile.ts"
import * as Stack from "./support/Stack.ts"

const rowCount = 100_000

/** Rows written between two copies of the log: about 16 MB of it. */
const rowsPerCopy = 4_000

const plans = [
  { rows: 9, rounds: 9, timeMillis: 200, iterations: 20 },
  { rows: 100, rounds: 9, timeMillis: 200, iterations: 20 },
  { rows: 1_000, rounds: 7, timeMillis: 250, iterations: 8 },
  { rows: 10_000, rounds: 5, timeMillis: 1, iterations: 2 },
  { rows: rowCount, rounds: 3, timeMillis: 1, iterations: 1 }
]

export const question: Question = async (report) => {
  const stack = await Stack.open({ filename: SampleFile.make({ sessionCount: rowCount }), place: "in-process" })
  const raw = RawFlush.open(SampleFile.make({ sessionCount: rowCount }))
  let seenAtMillis = SampleFile.createdAtMillis
  let batch = SampleFile.batch(0, rowCount, seenAtMillis)
  const microsPerRow = new Map<number, number>()

  for (const { rows, rounds, ...terms } of plans) {
    const prepare = (copy: () => void | Promise<unknown>) => {
      let written = 0
      return async () => {
        batch = SampleFile.batch(rows, rowCount, (seenAtMillis += 1_000))
        written += rows
        if (written < rowsPerCopy) return
        written = 0
        await copy()
      }
    }
    const copyOurs = () => Effect.runPromise(stack.writer.checkpoint(Lane.maintenance, "passive"))
    const ours = { ...terms, prepare: prepare(copyOurs) }
    const bare = { ...terms, prepare: prepare(raw.checkpoint) }
    const { ratio, sides } = await Rounds.measure(rounds, {
      ours: () => Latency.p50Millis(() => Effect.runPromise(stack.storage.flush(batch)), ours),
      bare: () => Latency.p50Millis(() => raw.flush(batch), bare, "sync")
    })
    microsPerRow.set(rows, (sides.ours.median * 1000) / rows)
    const addedMillis = sides.ours.median - sides.bare.median
    report({
      id: `T1@${rows}`,
      ours: sides.ours.median,
      theirs: sides.bare.median,
      unit: "ms",
      ratio: ratio("ours", "bare"),
      target: rows < 100 ? "<= 0.25 ms added" : "ratio <= 1.3",
      met: rows < 100 ? addedMillis <= 0.25 : ratio("ours", "bare") <= 1.3,
      note: `${Rounds.spread(sides.ours)} against ${Rounds.spread(sides.bare)}`
    })
  }
  const large = microsPerRow.get(rowCount) ?? Number.NaN
  const small = microsPerRow.get(1_000) ?? Number.NaN
  report({
    id: "T1@linear",
    ours: large,
    theirs: small,
    unit: "us/row",
    ratio: large / small,
    target: "ratio <= 1.5",
    met: large / small <= 1.5,
    note: `at ${rowCount} rows against at 1000`
  })
  raw.close()
  await stack.close()
}
