/**
 * The metrics of the writer, declared once.
 *
 * Names and labels are a promise to dashboards: units are in the suffix, no
 * label carries an id, and every depth stands beside its limit.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as Metric from "effect/Metric"
 * import { strictEqual } from "node:assert/strict"
 * import * as SimulatedConnection from "presence-effect/testing/SimulatedConnection"
 * import * as DatabaseName from "presence-effect/writer/DatabaseName"
 * import * as Lane from "presence-effect/writer/Lane"
 * import * as SqliteWriter from "presence-effect/writer/SqliteWriter"
 * import * as Write from "presence-effect/writer/Write"
 * import * as WriterMetrics from "presence-effect/writer/WriterMetrics"
 *
 * const program = Effect.gen(function* () {
 *   const { layer } = yield* SimulatedConnection.make()
 *   const services = SqliteWriter.layer().pipe(Layer.provide(layer), Layer.provide(DatabaseName.layer("tenant-a")))
 *   const write = Effect.flatMap(SqliteWriter.SqliteWriter, (writer) =>
 *     writer.write(Lane.data, Write.statement("DELETE FROM Message WHERE id = 1"))
 *   )
 *   yield* Effect.provide(write, services)
 *   const committed = DatabaseName.labelled("tenant-a")(WriterMetrics.writes(Lane.data, "committed"))
 *   strictEqual((yield* Metric.value(committed)).count, 1)
 * })
 * await Effect.runPromise(program)
 *
 * @since 0.1.0
 */
import type * as Metric from "effect/Metric"
import { counter, gauge, seconds, tagged } from "../internal/instrument.ts"
import type * as Lane from "./Lane.ts"

const queueDepthGauge = gauge("writer_queue_depth", "Writes that wait for the permit")
const queueLimitGauge = gauge("writer_queue_limit", "Writes that may wait for the permit")
const waitHistogram = seconds("writer_wait_seconds", "From the call to the grant of the permit")
const holdHistogram = seconds("writer_hold_seconds", "From the grant of the permit to the answer of the engine")
const writesCounter = counter("writer_writes_total", "Writes, by lane and what their caller was told")

/**
 * `writer_queue_depth{lane}`: writes that wait for the permit.
 *
 * @category metrics
 * @since 0.1.0
 */
export const queueDepth = (lane: Lane.Lane): Metric.Metric.Gauge<number> => tagged(queueDepthGauge, "lane", lane)

/**
 * `writer_queue_limit{lane}`: writes that may wait for the permit.
 *
 * @category metrics
 * @since 0.1.0
 */
export const queueLimit = (lane: Lane.Lane): Metric.Metric.Gauge<number> => tagged(queueLimitGauge, "lane", lane)

/**
 * `writer_wait_seconds{lane}`: from the call to the grant of the permit.
 *
 * @category metrics
 * @since 0.1.0
 */
export const waitSeconds = (lane: Lane.Lane): Metric.Metric.Histogram<number> => tagged(waitHistogram, "lane", lane)

/**
 * `writer_hold_seconds{lane}`: from the grant of the permit to the answer of the
 * engine.
 *
 * @category metrics
 * @since 0.1.0
 */
export const holdSeconds = (lane: Lane.Lane): Metric.Metric.Histogram<number> => tagged(holdHistogram, "lane", lane)

/**
 * `writer_writes_total{lane,outcome}`: writes, each once however often it was
 * tried, by what its caller was told: `committed`, the tag of the failure,
 * `interrupted` when the caller left, or `failed` when the body of `withPermit`
 * failed by itself.
 *
 * @category metrics
 * @since 0.1.0
 */
export const writes = (lane: Lane.Lane, outcome: string): Metric.Metric.Counter<number> =>
  tagged(tagged(writesCounter, "lane", lane), "outcome", outcome)
