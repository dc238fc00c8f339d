import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as TestClock from "effect/TestClock"
import * as Presence from "../../src/Presence.ts"
import * as PresenceMetrics from "../../src/presence/PresenceMetrics.ts"
import { PresenceReader } from "../../src/sqlite/SqlitePresenceStorage.ts"
import * as SqliteMetrics from "../../src/sqlite/SqliteMetrics.ts"
import * as WalKeeper from "../../src/sqlite/WalKeeper.ts"
import * as SimulatedConnection from "../../src/testing/SimulatedConnection.ts"
import * as DatabaseName from "../../src/writer/DatabaseName.ts"
import * as Lane from "../../src/writer/Lane.ts"
import * as SqliteWriter from "../../src/writer/SqliteWriter.ts"
import * as WriterMetrics from "../../src/writer/WriterMetrics.ts"
import * as Write from "../../src/writer/Write.ts"

// A kind that no other test has: files share the metrics of a process.
class Devices extends Presence.Tag("test/Devices", { thermometer: {} })<Devices>() {}

const noReader = Layer.succeed(PresenceReader, { query: () => Effect.succeed([]) })

/** A database of its own, with as many rows tracked as `count` says. */
const run = (name: string | undefined, count: number) =>
  Effect.gen(function* () {
    const engine = yield* SimulatedConnection.make({ evaluate: () => ({ rows: [], changes: 0 }) })
    const house = Presence.layerSqlite(Devices, { interval: "1 second" }).pipe(
      Layer.provideMerge(WalKeeper.layer({ lookInterval: "1 second" })),
      Layer.provideMerge(SqliteWriter.layer()),
      Layer.provide([engine.layer, noReader])
    )
    const context = yield* Layer.build(name === undefined ? house : Layer.provide(house, DatabaseName.layer(name)))
    yield* Effect.gen(function* () {
      const devices = yield* Devices
      for (let index = 0; index < count; index++) devices.beat({ kind: "thermometer", id: `${index}` }, 0)
      const writer = yield* SqliteWriter.SqliteWriter
      yield* writer.write(Lane.data, Write.statement("INSERT INTO t VALUES (1)"))
    }).pipe(Effect.provide(context))
  })

const valueOf = <Type, In, Out>(name: string | undefined, metric: Metric.Metric<Type, In, Out>) =>
  Metric.value(DatabaseName.labelled(name)(metric))

describe("DatabaseName", () => {
  it.scoped("gives each database of a process series of its own, and one without a name those without the label", () =>
    Effect.gen(function* () {
      const counts = [
        [undefined, 1],
        ["a", 11],
        ["b", 21]
      ] as const
      const metric = WriterMetrics.writes(Lane.data, "committed")
      const before = yield* Effect.forEach(counts, ([name]) => valueOf(name, metric))
      const rowsBefore = yield* Effect.forEach(counts, ([name]) => valueOf(name, PresenceMetrics.flushRows))
      for (const [name, count] of counts) yield* run(name, count)
      yield* TestClock.adjust("1 seconds")
      for (const [index, [name, count]] of counts.entries()) {
        const { value } = yield* valueOf(name, PresenceMetrics.pending("thermometer"))
        const { value: limit } = yield* valueOf(name, WriterMetrics.queueLimit(Lane.data))
        const { count: written } = yield* valueOf(name, metric)
        assert.strictEqual(written, (before[index]?.count ?? 0) + 1)
        assert.isAbove(limit, 0)
        // The engine answers no rows, so all are missing: the flush has seen them.
        assert.strictEqual(value, 0)
        const rows = yield* valueOf(name, PresenceMetrics.flushRows)
        assert.strictEqual(rows.sum, (rowsBefore[index]?.sum ?? 0) + count)
        assert.isAtLeast((yield* valueOf(name, SqliteMetrics.databaseBytes)).value, 0)
      }
      const labels = (yield* Metric.snapshot)
        .filter(({ metricKey }) => metricKey.name === "presence_flush_rows")
        .map(({ metricKey }) => metricKey.tags.map(({ key, value }) => `${key}=${value}`).join())
      assert.includeMembers(labels, ["", "database=a", "database=b"])
    })
  )
})
