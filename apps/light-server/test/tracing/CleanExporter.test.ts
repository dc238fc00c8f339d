import { assert, describe, it } from "@effect/vitest"
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor
} from "@opentelemetry/sdk-trace-base"
import * as CleanExporter from "../../src/tracing/CleanExporter.ts"

describe("CleanExporter", () => {
  it("leaves the kind of a failure, and neither its message nor its stack", async () => {
    const inner = new InMemorySpanExporter()
    const finished: Array<ReadableSpan> = []
    const seen = { export: inner.export.bind(inner), shutdown: () => inner.shutdown() }
    const provider = new BasicTracerProvider({
      spanProcessors: [new SimpleSpanProcessor(CleanExporter.make(seen))]
    })
    const span = provider.getTracer("test").startSpan("work", { attributes: { lane: "data" } })
    const failure = new TypeError("private text")
    span.recordException(failure)
    span.setStatus({ code: 2, message: "private text" })
    span.addEvent("note", { text: "private text" })
    span.end()
    await provider.forceFlush()
    finished.push(...inner.getFinishedSpans())
    const [clean = assert.fail("no span")] = finished
    assert.deepStrictEqual(
      clean.events.map(({ attributes, name }) => ({ name, attributes })),
      [
        { name: "exception", attributes: { "exception.type": "TypeError" } },
        { name: "note", attributes: {} }
      ]
    )
    assert.deepStrictEqual(clean.status, { code: 2 })
    assert.strictEqual(clean.name, "work")
    assert.deepStrictEqual(clean.attributes, { lane: "data" })
    assert.strictEqual(clean.spanContext().spanId, span.spanContext().spanId)
    assert.isTrue(clean.ended)
  })
})
