/**
 * Every series with a closed set of labels exists from the first scrape on, with zero. A rate over a counter that
 * appears with its first event misses that event, and an alert on a series that does not exist stays silent.
 */
import { Effect, Layer, Metric } from "effect"
import * as PresenceMetrics from "presence-effect/presence/PresenceMetrics"
import type { Rejection } from "presence-effect/presence/PresenceRegistry"
import * as SqliteMetrics from "presence-effect/sqlite/SqliteMetrics"
import * as Lane from "presence-effect/writer/Lane"
import type { WriterError } from "presence-effect/writer/WriterError"
import * as WriterMetrics from "presence-effect/writer/WriterMetrics"
import * as BackupMetrics from "./admin/BackupMetrics.ts"
import * as ChangeMetrics from "./changes/ChangeMetrics.ts"
import * as ReadMetrics from "./database/ReadMetrics.ts"
import { kinds } from "./entities/PresenceKey.ts"
import * as RateLimit from "./door/RateLimit.ts"
import * as ServerMetrics from "./health/ServerMetrics.ts"
import * as HttpMetrics from "./http/HttpMetrics.ts"
import * as LogMetrics from "./log/LogMetrics.ts"
import * as MessageMetrics from "./messages/MessageMetrics.ts"
import * as QuotaMetrics from "./quota/QuotaMetrics.ts"
import * as RealtimeMetrics from "./realtime/RealtimeMetrics.ts"
import * as ReplicaMetrics from "./replicas/ReplicaMetrics.ts"
import * as RpcMetrics from "./rpc/RpcMetrics.ts"

/** The compiler rejects a list that lacks a tag. */
const failures = Object.keys({
  LaneOverflow: true,
  PermitTimeout: true,
  NestedPermit: true,
  DatabaseBusy: true,
  WriteUnconfirmed: true,
  WriteConflict: true,
  WriteRejected: true,
  WriteUndecodable: true,
  ConnectionLost: true,
  ConnectionGone: true,
  DatabaseFull: true,
  DatabaseReadonly: true,
  DatabaseIo: true,
  DatabaseCorrupt: true,
  DatabaseMoved: true,
  WriterClosed: true
} satisfies Record<WriterError["_tag"], true>)

const rejections = Object.keys({
  invalid: true,
  ancient: true,
  ended: true,
  foreign: true,
  full: true
} satisfies Record<Rejection, true>)

const lanes = [Lane.control, Lane.data, Lane.presence, Lane.maintenance]

/** Reading a metric registers it. */
const library = Effect.gen(function* () {
  for (const kind of Object.keys(kinds)) {
    yield* Metric.value(PresenceMetrics.tracked(kind))
    yield* Metric.value(PresenceMetrics.pending(kind))
    yield* Metric.value(PresenceMetrics.takeovers(kind))
  }
  yield* Metric.value(PresenceMetrics.oldestPendingSeconds)
  yield* Metric.value(PresenceMetrics.flushSeconds)
  yield* Metric.value(PresenceMetrics.flushRows)
  yield* Metric.value(PresenceMetrics.coalesced)
  yield* Metric.value(PresenceMetrics.refused)
  yield* Metric.value(PresenceMetrics.parked)
  yield* Metric.value(PresenceMetrics.deferred)
  yield* Metric.value(PresenceMetrics.leaseAgeSeconds)
  yield* Metric.value(PresenceMetrics.leasesLost)
  yield* Metric.value(PresenceMetrics.clockOffsetSeconds)
  for (const code of [...failures, "Defect", "Interrupted"]) yield* Metric.value(PresenceMetrics.flushFailures(code))
  for (const reason of rejections) yield* Metric.value(PresenceMetrics.rejected(reason))
  for (const lane of lanes) {
    yield* Metric.value(WriterMetrics.queueDepth(lane))
    yield* Metric.value(WriterMetrics.queueLimit(lane))
    yield* Metric.value(WriterMetrics.waitSeconds(lane))
    yield* Metric.value(WriterMetrics.holdSeconds(lane))
    for (const outcome of ["committed", ...failures]) yield* Metric.value(WriterMetrics.writes(lane, outcome))
  }
  yield* Metric.value(SqliteMetrics.walBytes)
  yield* Metric.value(SqliteMetrics.databaseBytes)
  yield* Metric.value(SqliteMetrics.checkpointBusy)
  yield* Metric.value(SqliteMetrics.freeBytes)
  yield* Metric.value(SqliteMetrics.compactedBytes)
})

const server = Effect.gen(function* () {
  for (const metric of Object.values(RateLimit.limitedTotal)) yield* Metric.value(metric)
  // Routes and statuses are open sets; the scrape itself is known.
  yield* Metric.value(
    HttpMetrics.requestSeconds.pipe(
      Metric.tagged("method", "GET"),
      Metric.tagged("route", "/metrics"),
      Metric.tagged("status", "200")
    )
  )
  yield* Metric.value(ServerMetrics.diskFreeBytes)
  yield* Metric.value(ServerMetrics.ready)
  yield* Metric.value(ServerMetrics.writerHoldingSeconds)
  yield* Metric.value(LogMetrics.logLinesSuppressed)
  yield* Metric.value(BackupMetrics.lastSuccessSeconds)
  yield* Metric.value(BackupMetrics.failing)
  yield* Effect.sync(() => {
    ReadMetrics.start()
    QuotaMetrics.start()
    RealtimeMetrics.start()
    ReplicaMetrics.start()
    MessageMetrics.start()
    ChangeMetrics.start()
    RpcMetrics.start()
  })
})

/** Creates the series. A count that exists is kept. */
export const start: Effect.Effect<void> = Effect.zipRight(library, server)

export const layer: Layer.Layer<never> = Layer.effectDiscard(start)
