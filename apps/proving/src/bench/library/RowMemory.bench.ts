/**
 * T7: what a tracked row costs in memory, its id included.
 *
 * A million sessions beat once. The ids are strings of their own, as a decoder
 * makes them, and every row waits for its flush, the state that needs most. The
 * bare side keeps a time per id in a `Map`.
 */
import * as PresenceConfig from "presence-effect/presence/PresenceConfig"
import * as PresenceRegistry from "presence-effect/presence/PresenceRegistry"
import type { Question } from "../Result.ts"
import * as SampleFile from "./support/SampleFile.ts"

const rowCount = 1_000_000
const bytesMax = 256

const residentBytes = (): number => {
  if (globalThis.gc === undefined) throw new Error("run node with --expose-gc")
  globalThis.gc()
  globalThis.gc()
  return process.memoryUsage().rss
}

const bytesPerRow = (track: (id: string, atMillis: number) => void): number => {
  const before = residentBytes()
  const now = Date.now()
  for (let index = 0; index < rowCount; index++) track(SampleFile.decodedId(index), now - (index % 1_000))
  return (residentBytes() - before) / rowCount
}

export const question: Question = async (report) => {
  const registry = PresenceRegistry.make(SampleFile.kinds, PresenceConfig.defaults)
  const { accountId } = SampleFile
  const ours = bytesPerRow(
    (id, atMillis) => void registry.beat({ kind: "session", accountId, id }, atMillis, Date.now())
  )
  const bare = new Map<string, number>()
  const theirs = bytesPerRow((id, atMillis) => void bare.set(id, atMillis))
  if (registry.pendingCount() !== rowCount || bare.size !== rowCount) throw new Error("not every row is tracked")
  report({
    id: `T7@${rowCount}`,
    ours,
    theirs,
    unit: "B/row",
    ratio: ours / theirs,
    target: `<= ${bytesMax} B RSS`,
    met: ours <= bytesMax,
    measures: "memory"
  })
}
