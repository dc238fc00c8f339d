/**
 * The metrics of presence, declared once.
 *
 * Names and labels are a promise to dashboards: units are in the suffix, no
 * label carries an id. Heartbeats are counted plainly and published once per
 * tick, so that a hot path never runs a metric.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import * as Metric from "effect/Metric"
 * import { strictEqual } from "node:assert/strict"
 * import * as Presence from "presence-effect/Presence"
 * import * as PresenceMetrics from "presence-effect/presence/PresenceMetrics"
 *
 * class Lamps extends Presence.Tag("example/Lamps", { lamp: {} })<Lamps>() {}
 *
 * const program = Effect.gen(function* () {
 *   const lamps = yield* Lamps
 *   lamps.beat({ kind: "lamp", id: "hall" }, Date.now())
 *   strictEqual(lamps.lastSeen({ kind: "lamp", id: "hall" })?.isOnline, true)
 *   // Metrics are published with each tick. This row is not in the storage, so the tick forgets it.
 *   yield* lamps.flush
 *   strictEqual((yield* Metric.value(PresenceMetrics.tracked("lamp"))).value, 0)
 * })
 * await Effect.runPromise(Effect.provide(program, Presence.layerMemory(Lamps)))
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import { counter, gauge, seconds, tagged } from "../internal/instrument.ts"

const trackedGauge = gauge("presence_tracked", "Rows the registry holds, end markers included")
const pendingGauge = gauge("presence_pending", "Rows whose newest state is not in the database yet")
const failureCounter = counter("presence_flush_failures_total", "Flushes that failed, by the tag of the failure")
const takeoverCounter = counter("presence_takeovers_total", "Rows of replicas that are gone, taken offline")
const rejectedCounter = counter("presence_rejected_total", "Heartbeats that were ignored, by reason")

/**
 * `presence_tracked{kind}`: rows the registry holds.
 *
 * @category metrics
 * @since 0.1.0
 */
export const tracked = (kind: string): Metric.Metric.Gauge<number> => tagged(trackedGauge, "kind", kind)

/**
 * `presence_pending{kind}`: rows whose newest state is not in the database yet.
 *
 * @category metrics
 * @since 0.1.0
 */
export const pending = (kind: string): Metric.Metric.Gauge<number> => tagged(pendingGauge, "kind", kind)

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
 * `presence_refused_total`: rows that the database refused to write, whatever
 * was written with them.
 *
 * @category metrics
 * @since 0.2.0
 */
export const refused: Metric.Metric.Counter<number> = counter(
  "presence_refused_total",
  "Rows that the database refused to write, by themselves"
)

/**
 * `presence_parked`: refused rows that wait to be tried again.
 *
 * @category metrics
 * @since 0.2.0
 */
export const parked: Metric.Metric.Gauge<number> = gauge(
  "presence_parked",
  "Rows the database refused, which wait to be tried again"
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
export const flushFailures = (code: string): Metric.Metric.Counter<number> => tagged(failureCounter, "code", code)

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
export const rejected = (reason: string): Metric.Metric.Counter<number> => tagged(rejectedCounter, "reason", reason)

/**
 * `presence_deferred_total`: rows that a flush left for the next one, because another transaction held them, or because
 * the lease of this replica had ended.
 *
 * @category metrics
 * @since 0.4.0
 */
export const deferred: Metric.Metric.Counter<number> = counter(
  "presence_deferred_total",
  "Rows left for the next flush: held by another transaction, or the lease had ended"
)

/**
 * `presence_lease_age_seconds`: time since the database confirmed the lease of this replica. Published with each
 * attempt to renew it.
 *
 * @category metrics
 * @since 0.4.0
 */
export const leaseAgeSeconds: Metric.Metric.Gauge<number> = gauge(
  "presence_lease_age_seconds",
  "Time since the database confirmed the lease of this replica"
)

/**
 * `presence_leases_lost_total`: leases of this replica that ended while it ran.
 *
 * @category metrics
 * @since 0.4.0
 */
export const leasesLost: Metric.Metric.Counter<number> = counter(
  "presence_leases_lost_total",
  "Leases of this replica that ended while it ran"
)

/**
 * `presence_clock_offset_seconds`: how far the clock of the database is ahead of the clock of this replica.
 *
 * @category metrics
 * @since 0.4.0
 */
export const clockOffsetSeconds: Metric.Metric.Gauge<number> = gauge(
  "presence_clock_offset_seconds",
  "How far the clock of the database is ahead of the clock of this replica"
)

/**
 * `presence_takeovers_total{kind}`: rows of replicas that are gone, which this replica took offline.
 *
 * @category metrics
 * @since 0.4.0
 */
export const takeovers = (kind: string): Metric.Metric.Counter<number> => tagged(takeoverCounter, "kind", kind)
