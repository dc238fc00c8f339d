/** A storage in memory whose next answers can be scripted, and a log that can be read. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type { FlushBatch, FlushEntry } from "../../src/presence/FlushBatch.ts"
import * as Lane from "../../src/writer/Lane.ts"
import type { FlushReport, MemoryRows } from "../../src/presence/PresenceStorage.ts"
import * as PresenceStorage from "../../src/presence/PresenceStorage.ts"
import { kinds } from "./kinds.ts"

type Flush = PresenceStorage.PresenceStorage["Type"]["flush"]
type Storage = PresenceStorage.PresenceStorage["Type"]

export interface Scripted {
  readonly rows: MemoryRows
  readonly batches: Array<{ readonly lane: string; readonly entries: ReadonlyArray<FlushEntry> }>
  readonly marked: Array<ReadonlyArray<string>>
  /** The next flush runs this instead of the store. One entry, one flush. */
  readonly script: Array<Flush>
  /** Runs instead of every scripted or real flush, while it is set. */
  always: Flush | undefined
  aroundMark: (self: ReturnType<Storage["markOffline"]>) => ReturnType<Storage["markOffline"]>
  readonly storage: Storage
}

export const make = (): Scripted => {
  const rows = PresenceStorage.memoryRows(kinds)
  const memory = PresenceStorage.makeMemory(rows)
  const scripted: Scripted = {
    rows,
    batches: [],
    marked: [],
    script: [],
    always: undefined,
    aroundMark: (self) => self,
    storage: {
      ...memory,
      flush: (batch, lane) =>
        Effect.suspend(() => {
          scripted.batches.push({ lane: lane ?? Lane.presence, entries: batch.entries })
          const run = scripted.always ?? scripted.script.shift() ?? memory.flush
          return run(batch, lane)
        }),
      markOffline: (keys, believable) =>
        Effect.suspend(() => {
          scripted.marked.push(keys.map(({ id }) => id))
          return scripted.aroundMark(memory.markOffline(keys, believable))
        })
    }
  }
  return scripted
}

/** A failure as a storage says it. */
export const failed = (reason: string, isRetryable = true): PresenceStorage.StorageFailed =>
  new PresenceStorage.StorageFailed({ reason, written: "nothing", isRetryable, cause: new Error(`it was ${reason}`) })

export const busy = failed("DatabaseBusy")

/** Fails after the first `count` entries were committed. */
export const failAfter =
  (scripted: Scripted, count: number, cause = busy): Flush =>
  (batch: FlushBatch) =>
    PresenceStorage.makeMemory(scripted.rows)
      .flush({ entries: batch.entries.slice(0, count) })
      .pipe(
        Effect.flatMap((report: FlushReport) =>
          Effect.fail(new PresenceStorage.FlushFailed({ report: { ...report, chunkCount: 1 }, cause }))
        )
      )

export interface Line {
  readonly level: string
  readonly message: string
  readonly code: unknown
  /** Empty: the line has none. */
  readonly cause: string
}

/** Collects what is logged instead of printing it. */
export const layerLog = (lines: Array<Line>): Layer.Layer<never> =>
  Layer.mergeAll(
    Logger.replace(
      Logger.defaultLogger,
      Logger.make(({ annotations, cause, logLevel, message }) => {
        const code = HashMap.get(annotations, "code")
        lines.push({
          level: logLevel.label,
          message: Array.isArray(message) ? message.map(String).join(" ") : String(message),
          code: code._tag === "Some" ? code.value : undefined,
          cause: Cause.isEmpty(cause) ? "" : Cause.pretty(cause)
        })
      })
    )
  )
