/** The flush of a storage that writes chunk by chunk through a writer. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { FlushEntry, FlushResult } from "../../presence/FlushBatch.ts"
import type { RowKey } from "../../presence/PresenceKind.ts"
import type { PresenceStorage } from "../../presence/PresenceStorage.ts"
import { FlushFailed, StorageFailed } from "../../presence/PresenceStorage.ts"
import type { Lane } from "../../writer/Lane.ts"
import type { SqliteWriter } from "../../writer/SqliteWriter.ts"
import type { Write } from "../../writer/Write.ts"
import type { WriterError } from "../../writer/WriterError.ts"
import * as WriterPolicy from "../../writer/WriterPolicy.ts"
import * as flushProgress from "./flushProgress.ts"

/** The part of a writer that a storage needs: SQLite's, or that of a database server. */
export type StorageWriter = Pick<SqliteWriter["Type"], "policy" | "write" | "writeMeasured">

/** The tables of a storage, as far as a flush sees them. */
export interface FlushTables<Table extends { readonly kind: string; readonly nameOf: (key: RowKey) => string }> {
  readonly tables: ReadonlyArray<Table>
  readonly writeAll: <A>(
    entries: ReadonlyArray<FlushEntry>,
    writeOne: (table: Table, part: ReadonlyArray<FlushEntry>) => Write<A>
  ) => Write<ReadonlyArray<A>>
}

interface Options {
  readonly chunkRows: number
  readonly chunkHold: Duration.DurationInput
  readonly lane: Lane
  readonly endLane: Lane
}

/** No second try can help. */
const final: ReadonlySet<WriterError["_tag"]> = new Set([
  "WriterClosed",
  "ConnectionGone",
  "DatabaseCorrupt",
  "DatabaseMoved",
  "DatabaseReadonly",
  "WriteConflict",
  "WriteRejected",
  "WriteUndecodable"
])

export const failed = (cause: WriterError): StorageFailed =>
  new StorageFailed({ reason: cause._tag, written: cause.written, isRetryable: !final.has(cause._tag), cause })

/** Chunk by chunk, each a write of its own that queues anew. */
export const make = <Table extends { readonly kind: string; readonly nameOf: (key: RowKey) => string }>(
  writer: StorageWriter,
  { tables, writeAll }: FlushTables<Table>,
  writeOne: (table: Table, part: ReadonlyArray<FlushEntry>, latestMillis: number) => Write<FlushResult>,
  options: Options,
  nextChunkRows: (size: number, rowCount: number, holdMillis: number, targetMillis: number) => number
): PresenceStorage["Type"]["flush"] => {
  const targetMillis = Duration.toMillis(options.chunkHold)
  let chunkRows = options.chunkRows
  let turn = 0
  return (batch, lane = options.lane) =>
    Effect.gen(function* () {
      const ordered = batch.entries.length > chunkRows ? flushProgress.neighbours(tables, batch) : batch
      const progress = flushProgress.makeProgress(ordered.entries, turn++)
      for (let chunk = progress.next(chunkRows); chunk !== undefined; chunk = progress.next(chunkRows)) {
        const entries = chunk
        // An end may be written while the chunk waits. It is no time from the future then, and must stay an end marker.
        const latest = (yield* Clock.currentTimeMillis) + WriterPolicy.termsOf(writer.policy, lane).deadlineMillis
        const write = writeAll(entries, (table, part) => writeOne(table, part, latest))
        const measured = yield* writer.writeMeasured(lane, write).pipe(
          Effect.catchIf(
            (cause) => flushProgress.isRowsOwn(cause) && progress.refuse(entries, failed(cause)),
            () => Effect.succeed(undefined)
          ),
          Effect.mapError((cause) => new FlushFailed({ report: progress.report(), cause: failed(cause) }))
        )
        if (measured === undefined) continue
        progress.committed(measured.value)
        chunkRows = nextChunkRows(chunkRows, entries.length, measured.holdMillis, targetMillis)
      }
      return progress.report()
    })
}
