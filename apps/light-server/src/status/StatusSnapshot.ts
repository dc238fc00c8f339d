/** Everything that the page shows, at one moment. */
import { Clock, Context, Effect, Layer, Metric } from "effect"
import { Presence } from "../entities/Presence.ts"
import { DatabaseState } from "../database/DatabaseState.ts"
import type { WriterStatus } from "presence-effect/writer/SqliteWriter"
import { Writer } from "presence-effect/writer/Writer"
import * as LoopDelay from "../door/LoopDelay.ts"
import { Readiness, type TimedCheck } from "../health/Readiness.ts"
import * as ServerMetrics from "../health/ServerMetrics.ts"
import { version } from "../Version.ts"
import * as StatusAdvice from "./StatusAdvice.ts"
import type { JsonObject } from "./StatusDelta.ts"
import { type Durations, StatusHistory, windowMillis } from "./StatusHistory.ts"
import * as StatusRows from "./StatusRows.ts"

export interface Options {
  readonly publicUrl: string | undefined
  readonly diskReserveBytes: number
  /** Above it, a checkpoint empties the log. */
  readonly logBytesMax: number
  /** What became of the last backups. */
  readonly backups: Effect.Effect<BackupState>
}

/** As `operator/BackupRecord` has it, which stands on a higher floor. */
interface BackupState {
  readonly last: { readonly atMillis: number; readonly bytes: number } | null
  readonly failure: { readonly atMillis: number } | null
  readonly isGone: boolean
}

export class StatusSnapshot extends Context.Tag("light-server/StatusSnapshot")<
  StatusSnapshot,
  {
    readonly take: Effect.Effect<JsonObject>
    /** Reads what memory does not have: rows and sizes of files. */
    readonly refresh: Effect.Effect<void>
    /** A row is missing that `refresh` would find. */
    readonly isOutdated: () => boolean
  }
>() {}

const millis = (seconds: number | undefined): number | undefined =>
  seconds === undefined ? undefined : Math.round(seconds * 10_000) / 10

const shownDurations = ({ count, median, p99 }: Durations): JsonObject => ({
  count,
  median: millis(median),
  p99: millis(p99)
})

const serverOf = ({ publicUrl }: Options, databaseFile: string, startedAt: number): JsonObject => ({
  version,
  node: process.versions.node,
  pid: process.pid,
  startedAt,
  url: publicUrl,
  databaseFile
})

const checksOf = (checks: ReadonlyArray<TimedCheck>): JsonObject =>
  Object.fromEntries(
    checks.map(({ code, detail, name, ok, since }): [string, JsonObject] => [name, { ok, code, detail, since }])
  )

const writerOf = ({ holder, lastCommitMillis, lastFailure, state }: WriterStatus): JsonObject => ({
  state,
  holder: holder === undefined ? undefined : { lane: holder.lane, since: holder.sinceMillis },
  lastCommitAt: lastCommitMillis,
  lastFailure: lastFailure === undefined ? undefined : { code: lastFailure.tag, at: lastFailure.atMillis }
})

const lanesOf = ({ lanes }: WriterStatus, history: StatusHistory["Type"]): JsonObject =>
  Object.fromEntries(
    lanes.map(({ capacity, lane, oldestWaitMillis, waiterCount }, position): [string, JsonObject] => {
      const { hold, wait } = history.lane(lane)
      return [
        lane,
        {
          position,
          waiting: waiterCount,
          limit: capacity,
          oldestWait: Math.round(oldestWaitMillis),
          wait: shownDurations(wait),
          hold: shownDurations(hold)
        }
      ]
    })
  )

const ticksOf = (history: StatusHistory["Type"]): JsonObject =>
  Object.fromEntries(
    history
      .ticks()
      .map(({ atMillis, durationMillis, isWritten, number, rowCount }): [string, JsonObject] => [
        String(number),
        { at: atMillis, millis: durationMillis, rows: rowCount, ok: isWritten }
      ])
  )

/** Nothing for what has never happened. The page shows no path and no reason, which may name one. */
const backupOf = ({ failure, isGone, last }: BackupState): JsonObject => ({
  at: last?.atMillis,
  bytes: last?.bytes,
  isGone: last === null ? undefined : isGone,
  failedAt: failure?.atMillis
})

/** The last backups, read apart from the rest. */
const makeBackups = ({ backups }: Options) =>
  Effect.map(backups, (first) => {
    let current = backupOf(first)
    return { current: () => current, refresh: Effect.map(backups, (now) => void (current = backupOf(now))) }
  })

/** Sizes of the files, which are read apart from the rest. */
const makeSizes = Effect.gen(function* () {
  const database = yield* DatabaseState
  let databaseBytes: number | undefined
  let logBytes: number | undefined
  const refresh = Effect.map(database.sizes, (found) => {
    databaseBytes = found.databaseBytes ?? databaseBytes
    logBytes = found.logBytes ?? logBytes
  })
  const diskFree = Effect.map(Metric.value(ServerMetrics.diskFreeBytes), ({ value }) =>
    value === 0 ? undefined : value
  )
  return { refresh, current: Effect.map(diskFree, (diskFreeBytes) => ({ databaseBytes, logBytes, diskFreeBytes })) }
})

const make = (options: Options) =>
  Effect.gen(function* () {
    const writer = yield* Writer
    const presence = yield* Presence
    const readiness = yield* Readiness
    const database = yield* DatabaseState
    const history = yield* StatusHistory
    const loopDelay = yield* LoopDelay.make
    const rows = yield* StatusRows.make
    const sizes = yield* makeSizes
    const backups = yield* makeBackups(options)
    const startedAt = yield* Clock.currentTimeMillis
    const { diskReserveBytes, logBytesMax } = options

    const server = serverOf(options, database.place, startedAt)
    const take = Effect.gen(function* () {
      const { checks, isReady } = yield* readiness.report
      const tracked = yield* presence.status
      const status = yield* writer.status
      const files = yield* sizes.current
      const advice = StatusAdvice.of({
        checks,
        ...files,
        logBytesMax,
        diskReserveBytes,
        trackedCount: tracked.trackedCount,
        trackedMax: tracked.capacity,
        parkedCount: tracked.parkedCount
      })
      const registrations = history.registrations()
      return {
        server,
        health: { isWell: isReady && advice.length === 0, isReady, line: StatusAdvice.lineOf(advice) },
        checks: checksOf(checks),
        advice: advice.map(({ action, code, level, text }): JsonObject => ({ code, level, text, action })),
        ...rows.current(),
        writer: writerOf(status),
        lanes: lanesOf(status, history),
        presence: {
          tracked: tracked.trackedCount,
          pending: tracked.pendingCount,
          lastFlushAt: tracked.lastFlushMillis
        },
        ticks: ticksOf(history),
        registrations: { ...shownDurations(registrations), failed: registrations.failedCount },
        windowMillis,
        storage: { ...files, diskReserveBytes },
        backup: backups.current(),
        process: {
          // In steps, so that a value that trembles is not sent again and again.
          rssMegabytes: Math.round(process.memoryUsage.rss() / 1e6),
          loopDelayMillis: Math.round(loopDelay.currentMillis())
        }
      } satisfies JsonObject
    })
    return StatusSnapshot.of({
      take,
      refresh: Effect.all([sizes.refresh, backups.refresh, rows.refresh], { discard: true }),
      isOutdated: rows.isOutdated
    })
  })

export const layer = (options: Options) => Layer.scoped(StatusSnapshot, make(options))
