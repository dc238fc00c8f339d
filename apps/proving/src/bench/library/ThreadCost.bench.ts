/**
 * T11: what the thread of the engine adds to a small write.
 *
 * The same writer and the same write, with the connection in a thread of its own
 * and in this one. Durable against a crash of the process only: the disk would
 * cost the same on both sides and hide the difference. The note has what a bare
 * thread adds under the same writer: two messages, and no more.
 */
import * as Effect from "effect/Effect"
import * as Lane from "presence-effect/writer/Lane"
import * as Write from "presence-effect/writer/Write"
import type { Question } from "../Result.ts"
import * as Rounds from "../Rounds.ts"
import * as AutocheckpointThread from "./support/AutocheckpointThread.ts"
import * as ControlWrite from "./support/ControlWrite.ts"
import * as Latency from "./support/Latency.ts"
import * as Stack from "./support/Stack.ts"

const terms = { timeMillis: 250, iterations: 200 }

const p50Millis = ({ writer }: Stack.WriterStack) =>
  Latency.p50Millis(
    () => Effect.runPromise(writer.write(Lane.control, Write.withDurability(ControlWrite.next(), "process-crash"))),
    terms
  )

export const question: Question = async (report) => {
  const threaded = await Stack.openWriter({ filename: ControlWrite.makeFile(), place: "thread" })
  const inProcess = await Stack.openWriter({ filename: ControlWrite.makeFile(), place: "in-process" })
  const bareFile = ControlWrite.makeFile()
  const bare = await Stack.openWriter({
    filename: bareFile,
    place: "thread",
    connection: AutocheckpointThread.layer(bareFile)
  })
  const { ratio, sides } = await Rounds.measure(9, {
    ours: () => p50Millis(threaded),
    inProcess: () => p50Millis(inProcess),
    bare: () => p50Millis(bare)
  })
  const addedMillis = sides.ours.median - sides.inProcess.median
  report({
    id: "T11",
    ours: sides.ours.median,
    theirs: sides.inProcess.median,
    unit: "ms",
    ratio: ratio("ours", "inProcess"),
    target: "<= 0.15 ms added",
    met: addedMillis <= 0.15,
    note:
      `${Rounds.digits(addedMillis)} ms added, by a bare thread ` +
      `${Rounds.digits(sides.bare.median - sides.inProcess.median)} ms; ` +
      `${Rounds.spread(sides.ours)} against ${Rounds.spread(sides.inProcess)}`
  })
  await bare.close()
  await threaded.close()
  await inProcess.close()
}
