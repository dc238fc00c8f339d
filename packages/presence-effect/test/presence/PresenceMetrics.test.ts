import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as PresenceMetrics from "../../src/presence/PresenceMetrics.ts"

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
      yield* Metric.increment(PresenceMetrics.deferred)
      yield* Metric.set(PresenceMetrics.leaseAgeSeconds, 1)
      yield* Metric.increment(PresenceMetrics.leasesLost)
      yield* Metric.set(PresenceMetrics.clockOffsetSeconds, 1)
      yield* Metric.increment(PresenceMetrics.takeovers("machine"))
      const names = (yield* Metric.snapshot).map(({ metricKey }) => {
        const labels = metricKey.tags.map(({ key, value }) => `${key}=${value}`).toSorted()
        return `${metricKey.name}{${labels.join(",")}}`
      })
      assert.includeMembers(names, [
        "presence_clock_offset_seconds{}",
        "presence_coalesced_total{}",
        "presence_deferred_total{}",
        "presence_flush_failures_total{code=DatabaseBusy}",
        "presence_flush_rows{}",
        "presence_flush_seconds{}",
        "presence_lease_age_seconds{}",
        "presence_leases_lost_total{}",
        "presence_oldest_pending_seconds{}",
        "presence_pending{kind=machine}",
        "presence_rejected_total{reason=full}",
        "presence_takeovers_total{kind=machine}",
        "presence_tracked{kind=machine}"
      ])
    })
  )
})
