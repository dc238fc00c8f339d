/** A collector of traces: a server on the loopback that takes what OTLP over HTTP sends as JSON. */
import { Deferred, Effect, type Scope } from "effect"
import http from "node:http"
import type net from "node:net"

/** A span as it arrived, with what of its resource the tests read. */
export interface Collected {
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  /** Empty for the first span of a trace. */
  readonly parentSpanId: string
  readonly attributes: Readonly<Record<string, unknown>>
  /** 2: an error. */
  readonly status: number
  readonly resource: Readonly<Record<string, unknown>>
}

export interface TraceCollector {
  /** For `OTEL_EXPORTER_OTLP_ENDPOINT`. */
  readonly url: string
  readonly spans: () => ReadonlyArray<Collected>
  /** The bodies of all requests, one after the other. */
  readonly text: () => string
  readonly requests: () => ReadonlyArray<http.IncomingMessage>
  /** Requests that wait for their answer now, and the most that ever did. */
  readonly waiting: () => { readonly now: number; readonly most: number }
  /** The first request has come. */
  readonly asked: Effect.Effect<void>
}

/** Answers with a status, or with `undefined` never. */
export interface Behaviour {
  readonly status?: number | undefined
}

type Value = Readonly<Record<string, unknown>>

const recordOf = (entries: ReadonlyArray<{ readonly key: string; readonly value: Value }> = []) =>
  Object.fromEntries(entries.map(({ key, value }) => [key, Object.values(value)[0]]))

const spansIn = (body: string): ReadonlyArray<Collected> =>
  JSON.parse(body).resourceSpans.flatMap(({ resource, scopeSpans }: any) =>
    scopeSpans.flatMap(({ spans }: any) =>
      spans.map((span: any) => ({
        name: span.name,
        traceId: span.traceId,
        spanId: span.spanId,
        parentSpanId: span.parentSpanId ?? "",
        attributes: recordOf(span.attributes),
        status: span.status?.code ?? 0,
        resource: recordOf(resource.attributes)
      }))
    )
  )

export const make = ({ status }: Behaviour = { status: 200 }): Effect.Effect<TraceCollector, never, Scope.Scope> =>
  Effect.gen(function* () {
    const asked = yield* Deferred.make<void>()
    const requests: Array<http.IncomingMessage> = []
    const bodies: Array<string> = []
    let waitingNow = 0
    let waitingMost = 0
    const server = http.createServer((request, response) => {
      const chunks: Array<Buffer> = []
      waitingNow += 1
      waitingMost = Math.max(waitingMost, waitingNow)
      response.once("close", () => void (waitingNow -= 1))
      request.on("data", (chunk: Buffer) => chunks.push(chunk))
      request.once("end", () => {
        requests.push(request)
        bodies.push(Buffer.concat(chunks).toString("utf8"))
        Deferred.unsafeDone(asked, Effect.void)
        if (status !== undefined) response.writeHead(status, { "content-type": "application/json" }).end("{}")
      })
    })
    yield* Effect.acquireRelease(
      Effect.async<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
      () =>
        Effect.async<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        })
    )
    return {
      url: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`,
      spans: () => bodies.flatMap(spansIn),
      text: () => bodies.join("\n"),
      requests: () => requests,
      waiting: () => ({ now: waitingNow, most: waitingMost }),
      asked: Deferred.await(asked)
    }
  })
