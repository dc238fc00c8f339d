/** Takes out of spans what could hold data of users, before they leave the process. */
import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace-base"

/** What failed is worth knowing. The message and the stack of a failure may quote a value or a file of a home. */
const kept = "exception.type"

const cleaned = (span: ReadableSpan): ReadableSpan => {
  if (span.events.length === 0 && span.status.message === undefined) return span
  const events = span.events.map(({ attributes, name, time }) => ({
    name,
    time,
    attributes: attributes?.[kept] === undefined ? {} : { [kept]: attributes[kept] }
  }))
  // A span is an object with accessors: everything else is looked up in it.
  return Object.create(span, {
    events: { value: events, enumerable: true },
    status: { value: { code: span.status.code }, enumerable: true }
  }) as ReadableSpan
}

export const make = (exporter: SpanExporter): SpanExporter => ({
  export: (spans, done) => exporter.export(spans.map(cleaned), done),
  shutdown: () => exporter.shutdown(),
  forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve()
})
