/**
 * The progress of one flush: the chunks that are left to write, and what became of the entries.
 */
import * as FlushBatch from "../../presence/FlushBatch.ts"
import type { FlushReport, RefusedEntry, StorageFailed } from "../../presence/PresenceStorage.ts"
import type { RowKey } from "../../presence/PresenceKind.ts"
import type { WriterError } from "../../writer/WriterError.ts"

/** A kind as far as the order of its rows goes. */
interface Kind {
  readonly kind: string
  readonly nameOf: (key: RowKey) => string
}

/** Rows with neighbouring keys share pages. In this order a page is written with one chunk instead of with many. */
export const neighbours = (kinds: ReadonlyArray<Kind>, { entries }: FlushBatch.FlushBatch): FlushBatch.FlushBatch =>
  FlushBatch.make(
    kinds.flatMap(({ kind, nameOf }) =>
      entries.filter((entry) => entry.kind === kind).toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))
    )
  )

/** A write that fails for these fails by what is in it: without that row the others can be written. */
export const isRowsOwn = ({ _tag }: WriterError): boolean => _tag === "WriteRejected" || _tag === "WriteConflict"

/**
 * So many rows are tried alone, and then so many from all over the rest. When the table takes none of them, it is the
 * table that refuses; when it takes one, it refuses the others for what they are.
 */
const refusedMax = 32

/** Without the parts that most flushes do not have. */
const reportOf = (
  { deferred, elsewhere, ...report }: FlushReport & Required<Pick<FlushReport, "deferred" | "elsewhere">>,
  refused: ReadonlyArray<RefusedEntry>
): FlushReport => ({
  ...report,
  ...(deferred.length === 0 ? {} : { deferred }),
  ...(elsewhere.length === 0 ? {} : { elsewhere }),
  ...(refused.length === 0 ? {} : { refused })
})

/** What is left to write, as chunks, and what became of the rest. Each `turn` tries other rows of the rest alone. */
export const makeProgress = (all: ReadonlyArray<FlushBatch.FlushEntry>, turn = 0) => {
  let entries = all
  const written: Array<FlushBatch.StoredEntry> = []
  const superseded: Array<FlushBatch.StoredEntry> = []
  const missing: Array<FlushBatch.FlushEntry> = []
  const deferred: Array<FlushBatch.FlushEntry> = []
  const elsewhere: Array<FlushBatch.FlushEntry> = []
  const refused: Array<RefusedEntry> = []
  /** Parts of a chunk that was refused as a whole, the next one last. */
  const parts: Array<ReadonlyArray<FlushBatch.FlushEntry>> = []
  let chunkCount = 0
  let from = 0
  /** So many rows refused, and none accepted: the table refuses. Known once the rest is sampled. */
  let verdictAt = Number.POSITIVE_INFINITY
  const isTableRefusing = (): boolean => written.length + superseded.length === 0 && refused.length >= verdictAt
  const sampleRest = (): void => {
    const rest = [...parts.toReversed().flat(), ...entries.slice(from)]
    const stride = Math.max(1, Math.ceil(rest.length / refusedMax))
    const isSample = (index: number): boolean => index % stride === turn % stride
    const samples = rest.filter((_, index) => isSample(index))
    parts.splice(0, parts.length, ...samples.map((entry) => [entry]))
    entries = rest.filter((_, index) => !isSample(index))
    from = 0
    verdictAt = refused.length + samples.length
  }
  return {
    next: (chunkRows: number): ReadonlyArray<FlushBatch.FlushEntry> | undefined => {
      const part = parts.pop()
      if (part !== undefined) return part
      if (from >= entries.length) return undefined
      const chunk = entries.slice(from, from + chunkRows)
      from += chunk.length
      return chunk
    },
    committed: (results: ReadonlyArray<FlushBatch.FlushResult>): void => {
      chunkCount++
      for (const result of results) {
        for (const entry of result.written) written.push(entry)
        for (const entry of result.superseded) superseded.push(entry)
        for (const entry of result.missing) missing.push(entry)
        for (const entry of result.deferred ?? []) deferred.push(entry)
        for (const entry of result.elsewhere ?? []) elsewhere.push(entry)
      }
    },
    /** Halves the chunk until the row is alone. Answers whether the flush can go on. */
    refuse: (chunk: ReadonlyArray<FlushBatch.FlushEntry>, cause: StorageFailed): boolean => {
      const [first] = chunk
      if (chunk.length > 1) {
        const half = Math.ceil(chunk.length / 2)
        parts.push(chunk.slice(half), chunk.slice(0, half))
      } else if (first !== undefined) {
        refused.push({ ...first, cause })
        if (refused.length === refusedMax + 1 && written.length + superseded.length === 0) sampleRest()
      }
      return !isTableRefusing()
    },
    report: () =>
      reportOf({ written, superseded, missing, deferred, elsewhere, chunkCount }, isTableRefusing() ? [] : refused)
  }
}
