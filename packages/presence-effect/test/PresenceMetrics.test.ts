import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Lane from "../src/Lane.ts"
import * as PresenceMetrics from "../src/PresenceMetrics.ts"

describe("PresenceMetrics", () => {
  it.effect("has the names and labels that dashboards rely on", () =>
    Effect.gen(function* () {
      yield* Metric.set(PresenceMetrics.tracked("machine"), 1)
      yield* Metric.set(PresenceMetrics.pending("machine"), 1)
      yield* Metric.set(PresenceMetrics.oldestPendingSeconds, 1)
      yield* Metric.update(PresenceMetrics.flushSeconds, 1)
      yield* Metric.update(PresenceMetrics.flushRows, 1)
      yield* Metric.increment(PresenceMetrics.flushFailures("DatabaseBusy"))
      yield* Metric.increment(PresenceMetrics.coalesced)
      yield* Metric.increment(PresenceMetrics.rejected("full"))
      yield* Metric.set(PresenceMetrics.queueDepth(Lane.control), 1)
      yield* Metric.set(PresenceMetrics.queueLimit(Lane.control), 1)
      yield* Metric.update(PresenceMetrics.waitSeconds(Lane.control), 1)
      yield* Metric.update(PresenceMetrics.holdSeconds(Lane.control), 1)
      yield* Metric.increment(PresenceMetrics.writes(Lane.control, "committed"))
      yield* Metric.set(PresenceMetrics.walBytes, 1)
      yield* Metric.set(PresenceMetrics.databaseBytes, 1)
      yield* Metric.increment(PresenceMetrics.checkpointBusy)
      const names = (yield* Metric.snapshot)
        .map(({ metricKey }) => {
          const labels = metricKey.tags.map(({ key, value }) => `${key}=${value}`).toSorted()
          return `${metricKey.name}{${labels.join(",")}}`
        })
        .filter((name) => /^(presence|writer|sqlite)_/.test(name))
        .toSorted()
      assert.deepStrictEqual(names, [
        "presence_coalesced_total{}",
        "presence_flush_failures_total{code=DatabaseBusy}",
        "presence_flush_rows{}",
        "presence_flush_seconds{}",
        "presence_oldest_pending_seconds{}",
        "presence_pending{kind=machine}",
        "presence_rejected_total{reason=full}",
        "presence_tracked{kind=machine}",
        "sqlite_checkpoint_busy_total{}",
        "sqlite_db_bytes{}",
        "sqlite_wal_bytes{}",
        "writer_hold_seconds{lane=control}",
        "writer_queue_depth{lane=control}",
        "writer_queue_limit{lane=control}",
        "writer_wait_seconds{lane=control}",
        "writer_writes_total{lane=control,outcome=committed}"
      ])
    })
  )
})
