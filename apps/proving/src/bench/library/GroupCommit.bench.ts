/**
 * T9: many callers at once, each of which needs its write to survive a power failure.
 *
 * 64 callers write one row each, again and again. On one side the writes that
 * wait behind each other share a commit, on the other every write has its own:
 * the same writer, its lane's group limit apart.
 */
import * as Effect from "effect/Effect"
import * as Lane from "presence-effect/writer/Lane"
import * as WriterPolicy from "presence-effect/writer/WriterPolicy"
import type { Question } from "../Result.ts"
import * as Rounds from "../Rounds.ts"
import * as ControlWrite from "./support/ControlWrite.ts"
import * as Stack from "./support/Stack.ts"

const callerCount = 64
const sampleMillis = 500

const alone = WriterPolicy.withLane(ControlWrite.patient, Lane.control, { groupLimit: 1 })

const writesPerSecond = async ({ writer }: Stack.WriterStack): Promise<number> => {
  const began = performance.now()
  let count = 0
  const caller = Effect.gen(function* () {
    while (performance.now() - began < sampleMillis) {
      yield* writer.write(Lane.control, ControlWrite.next())
      count++
    }
  })
  const callers = Array.from({ length: callerCount }, () => caller)
  await Effect.runPromise(Effect.all(callers, { concurrency: "unbounded", discard: true }))
  const perSecond = (count * 1_000) / (performance.now() - began)
  await Effect.runPromise(writer.checkpoint(Lane.maintenance, "passive"))
  return perSecond
}

export const question: Question = async (report) => {
  const grouped = await Stack.openWriter({
    filename: ControlWrite.makeFile(),
    place: "thread",
    policy: ControlWrite.patient
  })
  const single = await Stack.openWriter({ filename: ControlWrite.makeFile(), place: "thread", policy: alone })
  const { ratio, sides } = await Rounds.measure(7, {
    ours: () => writesPerSecond(grouped),
    single: () => writesPerSecond(single)
  })
  report({
    id: `T9@${callerCount}`,
    ours: sides.ours.median,
    theirs: sides.single.median,
    unit: "writes/s",
    ratio: ratio("ours", "single"),
    target: "ratio >= 10",
    met: ratio("ours", "single") >= 10,
    note: `${Rounds.spread(sides.ours)} against ${Rounds.spread(sides.single)}`
  })
  await grouped.close()
  await single.close()
}
