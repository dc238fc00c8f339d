/**
 * S1: what a tick costs by the number of rows and by the size of the file.
 *
 * From 10 to 100 000 rows out of a file of 100 000 sessions, and the same in a
 * file of 2 GB. Nothing to compare with: the points of a curve, for
 * docs/scaling.md. The other side is the cost per row of a tick of 1 000 rows.
 */
import * as Effect from "effect/Effect"
import * as Lane from "presence-effect/writer/Lane"
import type { Question } from "../Result.ts"
import * as Rounds from "../Rounds.ts"
import * as Latency from "./support/Latency.ts"
import * as SampleFile from "./support/SampleFile.ts"
import * as Stack from "./support/Stack.ts"

const sessionCount = 100_000

const files = [
  { name: "100MB", fileBytes: 0 },
  { name: "2GB", fileBytes: 2 * 1024 ** 3 }
]
const sizes = [1_000, 10, 100, 10_000, 100_000]

export const question: Question = async (report) => {
  for (const { fileBytes, name } of files) {
    const stack = await Stack.open({ filename: SampleFile.make({ sessionCount, fileBytes }), place: "thread" })
    let seenAtMillis = SampleFile.createdAtMillis
    let batch = SampleFile.batch(0, sessionCount, seenAtMillis)
    let microsPerRow = Number.NaN
    for (const rows of sizes) {
      const prepare = async () => {
        await Effect.runPromise(stack.writer.checkpoint(Lane.maintenance, "passive"))
        batch = SampleFile.batch(rows, sessionCount, (seenAtMillis += 1_000))
      }
      const { sides } = await Rounds.measure(3, {
        ours: () =>
          Latency.p50Millis(() => Effect.runPromise(stack.storage.flush(batch)), {
            timeMillis: 1,
            iterations: rows >= 10_000 ? 1 : 5,
            prepare
          })
      })
      const micros = (sides.ours.median * 1_000) / rows
      if (Number.isNaN(microsPerRow)) microsPerRow = micros
      report({
        id: `S1@${rows}/${name}`,
        ours: micros,
        theirs: microsPerRow,
        unit: "us/row",
        ratio: micros / microsPerRow,
        target: "none",
        met: true,
        note: `${Rounds.digits(sides.ours.median)} ms a tick`
      })
    }
    await stack.close()
  }
}
