import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Lane from "../../src/writer/Lane.ts"
import * as WriterMetrics from "../../src/writer/WriterMetrics.ts"

describe("WriterMetrics", () => {
  it.effect("has the names and labels that dashboards rely on", () =>
    Effect.gen(function* () {
      yield* Metric.set(WriterMetrics.queueDepth(Lane.control), 1)
      yield* Metric.set(WriterMetrics.queueLimit(Lane.control), 1)
      yield* Metric.update(WriterMetrics.waitSeconds(Lane.control), 1)
      yield* Metric.update(WriterMetrics.holdSeconds(Lane.control), 1)
      yield* Metric.increment(WriterMetrics.writes(Lane.control, "committed"))
      const names = (yield* Metric.snapshot).map(({ metricKey }) => {
        const labels = metricKey.tags.map(({ key, value }) => `${key}=${value}`).toSorted()
        return `${metricKey.name}{${labels.join(",")}}`
      })
      assert.includeMembers(names, [
        "writer_hold_seconds{lane=control}",
        "writer_queue_depth{lane=control}",
        "writer_queue_limit{lane=control}",
        "writer_wait_seconds{lane=control}",
        "writer_writes_total{lane=control,outcome=committed}"
      ])
    })
  )
})
