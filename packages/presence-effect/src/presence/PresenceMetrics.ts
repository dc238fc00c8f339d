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
