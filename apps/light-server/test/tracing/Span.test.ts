/**
 * Goal: spans cost nothing while nobody collects them.
 * Method: whatever makes a span asks the tracer of its fiber for one, so the default tracer is watched.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, DefaultServices, Effect, type Exit, Layer, Option, Tracer } from "effect"
import { TestDatabase } from "../support/TestDatabase.ts"
import { agent, authorized, layerWith, TestServer } from "../support/TestServer.ts"
import { vi } from "vitest"

const defaultTracer = Context.get(DefaultServices.liveServices, Tracer.Tracer)

interface Kept {
  readonly name: string
  readonly parent: string | undefined
  readonly attributes: Map<string, unknown>
  exit?: Exit.Exit<unknown, unknown>
}

/** A tracer that keeps its spans here. */
const makeKeeper = () => {
  const kept: Array<Kept> = []
  const tracer = Tracer.make({
    span: (name, parent, context, links, startTime, kind) => {
      const attributes = new Map<string, unknown>()
      const span: Kept = { name, parent: Option.getOrUndefined(parent)?.spanId, attributes }
      const spanId = String(kept.push(span))
      let status: Tracer.SpanStatus = { _tag: "Started", startTime }
      return {
        _tag: "Span",
        spanId,
        traceId: "1",
        sampled: true,
        name,
        parent,
        context,
        links,
        kind,
        attributes,
        get status() {
          return status
        },
        attribute: (key, value) => void attributes.set(key, value),
        event: () => {},
        addLinks: () => {},
        end: (endTime, exit) => {
          span.exit = exit
          status = { _tag: "Ended", startTime, endTime, exit }
        }
      }
    },
    context: (run) => run()
  })
  return { kept, layer: Layer.setTracer(tracer) }
}

/** A request that writes, one that is refused, an event that writes, and one that is refused. */
const traffic = Effect.gen(function* () {
  const server = yield* TestServer
  const database = yield* TestDatabase
  database.addAccount("a1")
  database.sqlite.exec(
    `INSERT INTO "Session" ("id", "tag", "accountId", "metadata", "lastActiveAt", "createdAt", "updatedAt")
     VALUES ('s1', 't', 'a1', 'sealed', 5, 5, 5)`
  )
  const headers = authorized("a1")
  yield* server.inject({ method: "POST", url: "/v1/machines", headers, payload: { id: "m1", metadata: "m" } })
  yield* server.inject({ method: "POST", url: "/v1/machines", payload: { id: "m1", metadata: "m" } })
  const working = yield* server.connect(agent("a1", "s1"))
  working.emit("session-alive", { sid: "s1", time: Date.now() })
  yield* working.ask("update-metadata", { sid: "s1", metadata: "n", expectedVersion: 0 })
  yield* working.ask("message", { sid: "s1", message: "bQ==", localId: "l1" })
  yield* working.ask("update-metadata", { sid: "s1", metadata: 1 })
})

describe("Span", () => {
  it.scopedLive("makes no object for a request or an event while nobody collects them", () =>
    Effect.gen(function* () {
      const made = vi.spyOn(defaultTracer, "span")
      yield* Effect.provide(traffic, layerWith())
      const names = made.mock.calls.map(([name]) => name)
      made.mockRestore()
      assert.deepStrictEqual(names, [])
    })
  )

  it.scopedLive("covers each request and each event that does work, and ends with its outcome", () =>
    Effect.gen(function* () {
      const { kept, layer } = makeKeeper()
      yield* Effect.provide(traffic, Layer.provide(layerWith(), layer))
      const requests = kept.filter(({ name }) => name === "POST /v1/machines")
      assert.deepStrictEqual(
        requests.map(({ attributes, exit }) => [attributes.get("http.response.status_code"), exit?._tag]),
        [
          [200, "Success"],
          [401, "Success"]
        ]
      )
      for (const name of ["event update-metadata", "event message"]) {
        assert.strictEqual(kept.find((span) => span.name === name)?.exit?._tag, "Success", name)
      }
      // A sign of life costs no span, and neither does an event that is not even well-formed.
      assert.notInclude(
        kept.map(({ name }) => name),
        "event session-alive"
      )
      assert.lengthOf(
        kept.filter(({ name }) => name === "event update-metadata"),
        1
      )
    })
  )
})
