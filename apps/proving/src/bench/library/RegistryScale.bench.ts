/**
 * S2: a million tracked rows: what they hold in memory, and what the event loop
 * pays when every one of them waits for the same tick.
 *
 * Taking and confirming are the parts of a tick that run on the event loop; the
 * writes between them run in the thread of the engine. The other side is the same
 * with a hundredth of the rows, per row.
 */
import * as PresenceConfig from "presence-effect/presence/PresenceConfig"
import * as PresenceRegistry from "presence-effect/presence/PresenceRegistry"
import type { Question } from "../Result.ts"
import * as Rounds from "../Rounds.ts"
import * as SampleFile from "./support/SampleFile.ts"

const sizes = [10_000, 1_000_000]

const collect = (): void => {
  globalThis.gc?.()
  globalThis.gc?.()
}

const measure = (rowCount: number) => {
  collect()
  const before = process.memoryUsage().rss
  const registry = PresenceRegistry.make(SampleFile.kinds, PresenceConfig.defaults)
  const now = Date.now()
  for (let index = 0; index < rowCount; index++) {
    registry.beat({ kind: "session", accountId: SampleFile.accountId, id: SampleFile.decodedId(index) }, now, now)
  }
  collect()
  const held = process.memoryUsage().rss - before
  const began = performance.now()
  const { entries } = registry.takeDirty()
  const taken = performance.now()
  registry.confirm({ written: entries, superseded: [], missing: [] })
  const confirmed = performance.now()
  return { held, takeMillis: taken - began, confirmMillis: confirmed - taken }
}

export const question: Question = async (report) => {
  let small: ReturnType<typeof measure> | undefined
  for (const rowCount of sizes) {
    const found = measure(rowCount)
    small ??= found
    const smallCount = sizes[0] ?? rowCount
    const point = (name: string, ours: number, theirs: number, unit: string, note: string) =>
      report({
        id: `S2@${rowCount}/${name}`,
        ours: ours / rowCount,
        theirs: theirs / smallCount,
        unit,
        ratio: ours / rowCount / (theirs / smallCount),
        target: "none",
        met: true,
        note
      })
    const megabytes = Rounds.digits(found.held / 2 ** 20)
    point("memory", found.held, small.held, "B/row", `${megabytes} MB`)
    const millis = (value: number) => `${Rounds.digits(value)} ms`
    point("take", found.takeMillis * 1e6, small.takeMillis * 1e6, "ns/row", millis(found.takeMillis))
    point("confirm", found.confirmMillis * 1e6, small.confirmMillis * 1e6, "ns/row", millis(found.confirmMillis))
  }
}
