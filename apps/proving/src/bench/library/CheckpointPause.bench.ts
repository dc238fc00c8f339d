/**
 * T12: the worst write in a minute of steady work, with checkpoints running.
 *
 * 500 small writes a second arrive at random times, whether or not the ones
 * before are done, and a thousand rows are flushed every 200 ms. On one side
 * the keeper of this library keeps the log short, on the other SQLite's default
 * does, which copies the log inside a commit. No write waits for a disk sync
 * and none shares a commit, so that only the effect of checkpoints is left.
 * A third side has no checkpoints at all, for what the machine itself does to a
 * write. All work in turn. A figure is the median of those of the turns: another
 * program that stops the machine once must not decide.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as hdr from "hdr-histogram-js"
import * as Lane from "presence-effect/writer/Lane"
import * as Write from "presence-effect/writer/Write"
import * as WriterPolicy from "presence-effect/writer/WriterPolicy"
import type { Question } from "../Result.ts"
import * as Rounds from "../Rounds.ts"
import { arrivals } from "../arrivals.ts"
import * as AutocheckpointThread from "./support/AutocheckpointThread.ts"
import * as ControlWrite from "./support/ControlWrite.ts"
import * as SampleFile from "./support/SampleFile.ts"
import * as Stack from "./support/Stack.ts"

const sessionCount = 20_000
const tickRows = 1_000
const tickMillis = 200
const writesPerSecond = 500
const turnMillis = 6_000
const turnCount = 7
const megabyte = 1024 * 1024

const ungrouped = WriterPolicy.withLane(ControlWrite.patient, Lane.control, { groupLimit: 1 })

interface Side {
  readonly filename: string
  readonly stack: Stack.Stack
  /** One for each turn that counts. */
  readonly turns: Array<hdr.Histogram>
  logBytesMax: number
}

const sideOf = async (filename: string, options: Partial<Stack.Options>): Promise<Side> => ({
  filename,
  stack: await Stack.open({ filename, place: "thread", policy: ungrouped, ...options }),
  turns: [],
  logBytesMax: 0
})

let writeCount = 0

const smallWrite = () =>
  Write.statement(`UPDATE "Session" SET "metadata" = ? WHERE "id" = ?`, [
    `metadata ${++writeCount}`.padEnd(600, "m"),
    SampleFile.sessionId((writeCount * 104_729) % sessionCount)
  ])

let seenAtMillis = SampleFile.createdAtMillis

/** One turn of one side. Counted when `isCounted`. */
const work = async (side: Side, isCounted: boolean): Promise<number> => {
  const { stack } = side
  const turn = { isOver: false }
  const latency = hdr.build({ numberOfSignificantValueDigits: 3 })
  if (isCounted) side.turns.push(latency)
  const ticks = (async () => {
    while (!turn.isOver) {
      const began = performance.now()
      await Effect.runPromise(stack.storage.flush(SampleFile.batch(tickRows, sessionCount, (seenAtMillis += 1_000))))
      side.logBytesMax = Math.max(side.logBytesMax, fs.statSync(`${side.filename}-wal`).size)
      await Effect.runPromise(Effect.sleep(Math.max(0, tickMillis - (performance.now() - began))))
    }
  })()
  await arrivals({ perSecond: writesPerSecond, forMillis: turnMillis, seed: writeCount + 1 }, async (dueAt) => {
    await Effect.runPromise(stack.writer.write(Lane.control, Write.withDurability(smallWrite(), "process-crash")))
    latency.recordValue(Math.max(1, Math.round((performance.now() - dueAt) * 1_000)))
  })
  turn.isOver = true
  await ticks
  return 0
}

const millisAt = ({ turns }: Side, percentile: number): number =>
  Rounds.median(turns.map((latency) => latency.getValueAtPercentile(percentile))) / 1_000

export const question: Question = async (report) => {
  const filename = SampleFile.make({ sessionCount })
  const otherFilename = SampleFile.make({ sessionCount })
  const kept = await sideOf(filename, { isKept: true })
  const automatic = await sideOf(otherFilename, { connection: AutocheckpointThread.layer(otherFilename) })
  const none = await sideOf(SampleFile.make({ sessionCount }), {})
  for (let turn = 0; turn <= turnCount; turn++) {
    await work(kept, turn > 0)
    await work(automatic, turn > 0)
    await work(none, turn > 0)
    await Effect.runPromise(none.stack.writer.checkpoint(Lane.maintenance, "truncate"))
  }
  const logMegabytes = kept.logBytesMax / megabyte
  for (const [id, percentile] of Object.entries({ "p99.9": 99.9, max: 100 })) {
    const ours = millisAt(kept, percentile)
    const theirs = millisAt(automatic, percentile)
    const floor = millisAt(none, percentile)
    report({
      id: `T12@${id}`,
      ours,
      theirs,
      unit: "ms",
      ratio: theirs / ours,
      target: "ratio >= 2 or at the floor",
      met: (theirs / ours >= 2 || ours <= 1.25 * floor) && logMegabytes <= 64,
      note:
        `the floor, without checkpoints: ${Rounds.digits(floor)} ms; ` +
        `WAL ${Rounds.digits(logMegabytes)} MB of 64; p50 ${Rounds.digits(millisAt(kept, 50))} against ` +
        `${Rounds.digits(millisAt(automatic, 50))} ms; median of ${turnCount} turns`
    })
  }
  await kept.stack.close()
  await automatic.stack.close()
  await none.stack.close()
}
