import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as SqliteMetrics from "../../src/sqlite/SqliteMetrics.ts"

describe("SqliteMetrics", () => {
  it.effect("has the names and labels that dashboards rely on", () =>
    Effect.gen(function* () {
      yield* Metric.set(SqliteMetrics.walBytes, 1)
      yield* Metric.set(SqliteMetrics.databaseBytes, 1)
      yield* Metric.increment(SqliteMetrics.checkpointBusy)
      const names = (yield* Metric.snapshot).map(({ metricKey }) => {
        const labels = metricKey.tags.map(({ key, value }) => `${key}=${value}`).toSorted()
        return `${metricKey.name}{${labels.join(",")}}`
      })
      assert.includeMembers(names, ["sqlite_checkpoint_busy_total{}", "sqlite_db_bytes{}", "sqlite_wal_bytes{}"])
    })
  )
})
