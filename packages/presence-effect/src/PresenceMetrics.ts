/**
 * Every metric of the library, declared once.
 *
 * Names and labels are a promise to dashboards: units are in the suffix, no
 * label carries an id, and every depth stands beside its limit. Heartbeats are
 * counted plainly and published once per tick, so that a hot path never runs a
 * metric.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import type * as Lane from "./Lane.ts"
import type { PresenceKind } from "./PresenceKey.ts"

/** Seconds from one small write to the longest hold a policy should allow. */
const secondsBoundaries = MetricBoundaries.fromIterable([
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15
])

const counter = (name: string, description: string): Metric.Metric.Counter<number> =>
  Metric.counter(name, { description, incremental: true })

const gauge = (name: string, description: string): Metric.Metric.Gauge<number> => Metric.gauge(name, { description })

const seconds = (name: string, description: string): Metric.Metric.Histogram<number> =>
  Metric.histogram(name, secondsBoundaries, description)

const trackedGauge = gauge("presence_tracked", "Rows the registry holds, end markers included")
const pendingGauge = gauge("presence_pending", "Rows whose newest state is not in the database yet")
const failureCounter = counter("presence_flush_failures_total", "Flushes that failed, by the tag of the failure")
const rejectedCounter = counter("presence_rejected_total", "Heartbeats that were ignored, by reason")
const queueDepthGauge = gauge("writer_queue_depth", "Writes that wait for the permit")
const queueLimitGauge = gauge("writer_queue_limit", "Writes that may wait for the permit")
const waitHistogram = seconds("writer_wait_seconds", "From the call to the grant of the permit")
const holdHistogram = seconds("writer_hold_seconds", "From the grant of the permit to the answer of the engine")
const writesCounter = counter("writer_writes_total", "Writes, by lane and outcome")

/**
 * `presence_tracked{kind}`: rows the registry holds.
 *
 * @category metrics
 * @since 0.1.0
 */
export const tracked = (kind: PresenceKind): Metric.Metric.Gauge<number> => Metric.tagged(trackedGauge, "kind", kind)

/**
 * `presence_pending{kind}`: rows whose newest state is not in the database yet.
 *
 * @category metrics
 * @since 0.1.0
 */
export const pending = (kind: PresenceKind): Metric.Metric.Gauge<number> => Metric.tagged(pendingGauge, "kind", kind)

/**
 * `presence_oldest_pending_seconds`: age of the oldest change that is not in
 * the database yet. Zero when nothing waits.
 *
 * @category metrics
 * @since 0.1.0
 */
export const oldestPendingSeconds: Metric.Metric.Gauge<number> = gauge(
  "presence_oldest_pending_seconds",
  "Age of the oldest change that is not in the database yet"
)

/**
 * `presence_flush_seconds`: duration of a flush, waiting for the permit
 * included.
 *
 * @category metrics
 * @since 0.1.0
 */
export const flushSeconds: Metric.Metric.Histogram<number> = seconds(
  "presence_flush_seconds",
  "Duration of a flush, waiting included"
)

/**
 * `presence_flush_rows`: rows of one flush.
 *
 * @category metrics
 * @since 0.1.0
 */
export const flushRows: Metric.Metric.Histogram<number> = Metric.histogram(
  "presence_flush_rows",
  MetricBoundaries.fromIterable([1, 5, 10, 50, 100, 250, 500, 1_000, 5_000, 10_000, 50_000, 100_000]),
  "Rows of one flush"
)

/**
 * `presence_flush_failures_total{code}`: flushes that failed, by the tag of the
 * failure, `Interrupted` for one that was cut short.
 *
 * @category metrics
 * @since 0.1.0
 */
export const flushFailures = (code: string): Metric.Metric.Counter<number> =>
  Metric.tagged(failureCounter, "code", code)

/**
 * `presence_coalesced_total`: heartbeats that needed no write of their own.
 *
 * @category metrics
 * @since 0.1.0
 */
export const coalesced: Metric.Metric.Counter<number> = counter(
  "presence_coalesced_total",
  "Heartbeats that needed no write of their own"
)

/**
 * `presence_rejected_total{reason}`: heartbeats that were ignored.
 *
 * @category metrics
 * @since 0.1.0
 */
export const rejected = (reason: string): Metric.Metric.Counter<number> =>
  Metric.tagged(rejectedCounter, "reason", reason)

/**
 * `writer_queue_depth{lane}`: writes that wait for the permit.
 *
 * @category metrics
 * @since 0.1.0
 */
export const queueDepth = (lane: Lane.Lane): Metric.Metric.Gauge<number> => Metric.tagged(queueDepthGauge, "lane", lane)

/**
 * `writer_queue_limit{lane}`: writes that may wait for the permit.
 *
 * @category metrics
 * @since 0.1.0
 */
export const queueLimit = (lane: Lane.Lane): Metric.Metric.Gauge<number> => Metric.tagged(queueLimitGauge, "lane", lane)

/**
 * `writer_wait_seconds{lane}`: from the call to the grant of the permit.
 *
 * @category metrics
 * @since 0.1.0
 */
export const waitSeconds = (lane: Lane.Lane): Metric.Metric.Histogram<number> =>
  Metric.tagged(waitHistogram, "lane", lane)

/**
 * `writer_hold_seconds{lane}`: from the grant of the permit to the answer of the
 * engine.
 *
 * @category metrics
 * @since 0.1.0
 */
export const holdSeconds = (lane: Lane.Lane): Metric.Metric.Histogram<number> =>
  Metric.tagged(holdHistogram, "lane", lane)

/**
 * `writer_writes_total{lane,outcome}`: writes, where `outcome` is `committed` or
 * the tag of the failure.
 *
 * @category metrics
 * @since 0.1.0
 */
export const writes = (lane: Lane.Lane, outcome: string): Metric.Metric.Counter<number> =>
  Metric.tagged(Metric.tagged(writesCounter, "lane", lane), "outcome", outcome)

/**
 * `sqlite_wal_bytes`: size of the write-ahead log.
 *
 * @category metrics
 * @since 0.1.0
 */
export const walBytes: Metric.Metric.Gauge<number> = gauge("sqlite_wal_bytes", "Size of the write-ahead log")

/**
 * `sqlite_db_bytes`: size of the database file.
 *
 * @category metrics
 * @since 0.1.0
 */
export const databaseBytes: Metric.Metric.Gauge<number> = gauge("sqlite_db_bytes", "Size of the database file")

/**
 * `sqlite_checkpoint_busy_total`: checkpoints that found somebody in the way.
 *
 * @category metrics
 * @since 0.1.0
 */
export const checkpointBusy: Metric.Metric.Counter<number> = counter(
  "sqlite_checkpoint_busy_total",
  "Checkpoints that found somebody in the way"
)
