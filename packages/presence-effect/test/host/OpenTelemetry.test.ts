/**
 * Goal: spans and metrics reach OpenTelemetry through `@effect/opentelemetry`, under the names in docs/telemetry.md.
 * Method: its layer with exporters in memory, below the layers of the library.
 */
import * as NodeSdk from "@effect/opentelemetry/NodeSdk"
import { assert, describe, it, vi } from "@effect/vitest"
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  PeriodicExportingMetricReader
} from "@opentelemetry/sdk-metrics"
import { InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import Database from "better-sqlite3"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as SqliteInProcess from "../../src/node/SqliteInProcess.ts"
import * as SqliteReader from "../../src/node/SqliteReader.ts"
import * as Presence from "../../src/Presence.ts"
import * as WalKeeper from "../../src/sqlite/WalKeeper.ts"
import * as Lane from "../../src/writer/Lane.ts"
import * as SqliteWriter from "../../src/writer/SqliteWriter.ts"
import * as Write from "../../src/writer/Write.ts"
import { machine, TestPresence } from "../support/kinds.ts"
import { temporaryDatabase } from "../support/temporaryFile.ts"

const table = (name: string) => `CREATE TABLE ${name} (
  id TEXT PRIMARY KEY, accountId TEXT NOT NULL,
  active INTEGER NOT NULL DEFAULT 0, lastActiveAt INTEGER NOT NULL DEFAULT 0);`
const tables = `${table("Session")} ${table("Machine")} INSERT INTO Machine (id, accountId) VALUES ('m1', 'a1')`

const collect = () => {
  const spans = new InMemorySpanExporter()
  const metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const metricReader = new PeriodicExportingMetricReader({ exporter: metrics, exportIntervalMillis: 3_600_000 })
  const layer = NodeSdk.layer(() => ({
    resource: { serviceName: "test" },
    spanProcessor: new SimpleSpanProcessor(spans),
    metricReader
  }))
  return { layer, metricReader, metrics, spans }
}

/** Name, attributes and children of the spans below `parent`. */
interface Tree {
  readonly name: string
  readonly attributes: Record<string, unknown>
  readonly children: ReadonlyArray<Tree>
}
const treeOf = (spans: ReadonlyArray<ReadableSpan>, parent?: string): ReadonlyArray<Tree> =>
  spans
    .filter(({ parentSpanContext }) => parentSpanContext?.spanId === parent)
    .map((span) => ({
      name: span.name,
      attributes: span.attributes,
      children: treeOf(spans, span.spanContext().spanId)
    }))

const named = (trees: ReadonlyArray<Tree>, name: string): Tree => {
  const found = trees.find((tree) => tree.name === name)
  return found ?? assert.fail(`no span ${name}, only ${trees.map((tree) => tree.name).join(", ")}`)
}
const childNames = ({ children }: Tree) => children.map(({ name }) => name).toSorted()

describe("OpenTelemetry", () => {
  it.scopedLive("sees each write with its lane, attempts and outcome, its waits and its holds", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase(tables)
      const { layer, metricReader, metrics, spans } = collect()
      const house = Presence.layerSqlite(TestPresence).pipe(
        Layer.provide(SqliteReader.layer({ filename })),
        Layer.provideMerge(WalKeeper.layer({ checkpointBytes: 1 })),
        Layer.provideMerge(SqliteWriter.layer()),
        Layer.provideMerge(SqliteInProcess.layer({ filename })),
        Layer.provideMerge(layer)
      )
      const program = Effect.gen(function* () {
        const writer = yield* SqliteWriter.SqliteWriter
        const insert = (id: string) => Write.statement("INSERT INTO Machine (id, accountId) VALUES (?, 'a1')", [id])
        yield* writer.write(Lane.data, insert("m2"))
        yield* Effect.flip(writer.write(Lane.control, insert("m2")))
        yield* writer.withPermit(Lane.control)(Effect.withSpan(Effect.void, "mine"))
        yield* Effect.flip(writer.write(Lane.maintenance, Write.statement("INSERT", [Number.NaN])))
        const foreign = new Database(filename)
        foreign.exec("BEGIN IMMEDIATE")
        yield* Effect.flip(writer.write(Lane.control, insert("m3")))
        foreign.close()
        const presence = yield* TestPresence
        presence.beat(machine("a1", "m1"), Date.now())
        yield* presence.end(machine("a1", "m1"), Date.now())
        yield* Effect.flatMap(WalKeeper.WalKeeper, ({ look }) => look)
        yield* writer.checkpoint(Lane.maintenance, "passive")
        yield* Effect.promise(() => metricReader.forceFlush())
        return { trees: treeOf(spans.getFinishedSpans()), exported: metrics.getMetrics() }
      })
      const { exported, trees } = yield* Effect.provide(program, house)

      const writes = trees.filter(({ name }) => name === "writer.write")
      assert.deepStrictEqual(
        writes.slice(0, 3).map(({ attributes }) => [attributes["lane"], attributes["outcome"], attributes["attempts"]]),
        [
          ["data", "committed", 1],
          ["control", "WriteRejected", 1],
          ["maintenance", "WriteRejected", 1]
        ]
      )
      assert.strictEqual(writes[0]?.attributes["group_size"], 1)
      assert.deepStrictEqual(writes.slice(0, 2).map(childNames), [
        ["writer.hold", "writer.wait"],
        ["writer.hold", "writer.wait"]
      ])
      const busy = writes[3] ?? assert.fail("no write under the lock")
      assert.strictEqual(busy.attributes["outcome"], "DatabaseBusy")
      const attempts = Number(busy.attributes["attempts"])
      assert.isAbove(attempts, 1)
      assert.lengthOf(busy.children, 2 * attempts)
      assert.deepStrictEqual(childNames(named(trees, "writer.permit")), ["mine", "writer.hold", "writer.wait"])
      assert.deepStrictEqual(childNames(named(trees, "presence.flush")), ["writer.write"])
      assert.deepStrictEqual(named(trees, "writer.checkpoint").attributes, { lane: "maintenance", mode: "passive" })
      assert.deepStrictEqual(childNames(named(trees, "sqlite.copy_log")), [])

      const names = exported.flatMap(({ scopeMetrics }) =>
        scopeMetrics.flatMap(({ metrics }) => metrics.map(({ descriptor }) => descriptor.name))
      )
      for (const name of [
        "writer_writes_total",
        "writer_wait_seconds",
        "writer_queue_depth",
        "presence_flush_seconds"
      ]) {
        assert.include(names, name)
      }
    })
  )

  it.scopedLive("sees a write that gave up waiting as one that failed, without a hold", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase(tables)
      const { layer, spans } = collect()
      const house = SqliteWriter.layer().pipe(
        Layer.provide(SqliteInProcess.layer({ filename })),
        Layer.provideMerge(layer)
      )
      const program = Effect.gen(function* () {
        const writer = yield* SqliteWriter.SqliteWriter
        const released = yield* Deferred.make<void>()
        const entered = yield* Deferred.make<void>()
        const body = Effect.zipRight(Deferred.succeed(entered, undefined), Deferred.await(released))
        const holder = yield* Effect.fork(writer.withPermit(Lane.maintenance)(body))
        yield* Deferred.await(entered)
        yield* Effect.flip(writer.write(Lane.control, Write.statement("DELETE FROM Machine")))
        yield* Deferred.succeed(released, undefined)
        yield* Fiber.join(holder)
        return [...spans.getFinishedSpans()]
      })
      const finished = yield* Effect.provide(program, house)
      const write = named(treeOf(finished), "writer.write")
      assert.deepInclude(write.attributes, { outcome: "PermitTimeout", attempts: 1 })
      assert.deepStrictEqual(childNames(write), ["writer.wait"])
      const waits = finished.filter(({ name }) => name === "writer.wait")
      // Of the holder, OK; of the write, ERROR.
      assert.sameMembers(
        waits.map(({ status }) => status.code),
        [1, 2]
      )
    })
  )

  it.scopedLive("makes no span while nobody collects them", () =>
    Effect.gen(function* () {
      const tracer = yield* Effect.tracer
      const made = vi.spyOn(tracer, "span")
      const filename = yield* temporaryDatabase(tables)
      const house = Presence.layerSqlite(TestPresence).pipe(
        Layer.provide(SqliteReader.layer({ filename })),
        Layer.provideMerge(WalKeeper.layer({ checkpointBytes: 1 })),
        Layer.provideMerge(SqliteWriter.layer()),
        Layer.provideMerge(SqliteInProcess.layer({ filename }))
      )
      const program = Effect.gen(function* () {
        const writer = yield* SqliteWriter.SqliteWriter
        yield* writer.write(Lane.control, Write.statement("UPDATE Machine SET active = 0"))
        yield* writer.withPermit(Lane.control)(Effect.void)
        yield* writer.checkpoint(Lane.control, "passive")
        const presence = yield* TestPresence
        presence.beat(machine("a1", "m1"), Date.now())
        yield* presence.end(machine("a1", "m1"), Date.now())
        yield* Effect.flatMap(WalKeeper.WalKeeper, ({ look }) => look)
      })
      yield* Effect.provide(program, house)
      // Each statement of the reader has a span of @effect/sql.
      const names = made.mock.calls.map(([name]) => name).filter((name) => name !== "sql.execute")
      made.mockRestore()
      assert.deepStrictEqual(names, [])
    })
  )
})
