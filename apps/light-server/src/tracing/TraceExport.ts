/**
 * Sends spans to a collector, with the SDK of OpenTelemetry. This file is loaded only when traces are asked for.
 *
 * Nothing waits for the collector: spans are put into a queue of limited size, and a few requests at a time take them
 * away. While the queue is full, new spans are dropped and counted.
 */
import * as NodeSdk from "@effect/opentelemetry/NodeSdk"
import * as Resource from "@effect/opentelemetry/Resource"
import * as OtelTracer from "@effect/opentelemetry/Tracer"
import { diag, DiagLogLevel, isSpanContextValid } from "@opentelemetry/api"
import { parseTraceParent, setGlobalErrorHandler } from "@opentelemetry/core"
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http"
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  TraceIdRatioBasedSampler
} from "@opentelemetry/sdk-trace-base"
import { Effect, Layer, Runtime, type Tracer } from "effect"
import { version } from "../Version.ts"
import * as CleanExporter from "./CleanExporter.ts"
import { RemoteParent } from "./RemoteParent.ts"
import type { Sampling, TraceOptions } from "./TraceKnobs.ts"

/** Requests that may wait for the collector: as many as it takes to empty a full queue at the end. */
const exportsMax = 4

const samplerOf = ({ followsParent, kept, ratio }: Sampling): Sampler => {
  const root = {
    always_on: () => new AlwaysOnSampler(),
    always_off: () => new AlwaysOffSampler(),
    traceidratio: () => new TraceIdRatioBasedSampler(ratio)
  }[kept]()
  return followsParent ? new ParentBasedSampler({ root }) : root
}

const parentOf = (traceparent: string): Tracer.ExternalSpan | undefined => {
  const parent = parseTraceParent(traceparent)
  return parent !== null && isSpanContextValid(parent) ? OtelTracer.makeExternalSpan(parent) : undefined
}

/** The SDK reports through one object for the whole process. What repeats is one line of the log. */
const report = Effect.map(Effect.runtime<never>(), (runtime) => {
  const log = (text: string, reason: unknown) =>
    Runtime.runFork(runtime)(
      Effect.logWarning(text).pipe(
        Effect.annotateLogs({
          code: "TRACES_NOT_SENT",
          reason: reason instanceof Error ? reason.message : String(reason)
        })
      )
    )
  const warn = (text: string) => void log("Traces are incomplete", text)
  const ignore = () => {}
  diag.setLogger(
    { error: warn, warn, info: ignore, debug: ignore, verbose: ignore },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true }
  )
  setGlobalErrorHandler((failure) => void log("Traces could not be sent to the collector", failure))
})

/** The tracer of all fibers above. At the end the spans of the queue are sent, within `closeLimitMillis`. */
export const layer = (options: TraceOptions, closeLimitMillis: number): Layer.Layer<never> => {
  const exporter = () =>
    CleanExporter.make(
      new OTLPTraceExporter({
        url: options.url,
        headers: { ...options.headers },
        timeoutMillis: options.timeoutMillis,
        concurrencyLimit: exportsMax
      })
    )
  // All terms are given: the SDK would read the rest from the environment, and use any number that it finds.
  const queue = {
    maxQueueSize: options.queueSize,
    maxExportBatchSize: Math.min(options.batchSize, options.queueSize),
    scheduledDelayMillis: options.delayMillis,
    exportTimeoutMillis: 2 * options.timeoutMillis
  }
  const resource = Resource.layer({
    serviceName: options.serviceName,
    serviceVersion: version,
    attributes: { ...options.resource }
  })
  const provider = Layer.suspend(() =>
    NodeSdk.layerTracerProvider(new BatchSpanProcessor(exporter(), queue), {
      sampler: samplerOf(options.sampling),
      shutdownTimeout: closeLimitMillis
    })
  )
  return Layer.mergeAll(OtelTracer.layer, Layer.effectDiscard(report), Layer.succeed(RemoteParent, parentOf)).pipe(
    Layer.provide(provider),
    Layer.provide(resource)
  )
}
