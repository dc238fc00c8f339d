import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as ServerConfig from "../../src/config/ServerConfig.ts"

const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318" }

const load = (environment: Record<string, string>) =>
  Effect.map(ServerConfig.load({ HOME: "/nowhere", ...environment }), ({ config, warnings }) => ({
    tracing: config.tracing,
    warnings
  }))

describe("TraceKnobs", () => {
  it.effect.each([
    {},
    { OTEL_SERVICE_NAME: "x", OTEL_TRACES_SAMPLER: "nonsense", OTEL_SDK_DISABLED: "perhaps" },
    { ...endpoint, OTEL_SDK_DISABLED: "TRUE" },
    { ...endpoint, OTEL_TRACES_EXPORTER: "none" },
    { OTEL_EXPORTER_OTLP_ENDPOINT: " " }
  ])("makes no traces, and says nothing, with %j", (environment) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* load(environment), { tracing: undefined, warnings: [] })
    })
  )

  it.effect("sends all traces of a server of this name, unless told otherwise", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* load(endpoint), {
        tracing: {
          url: "http://collector:4318/v1/traces",
          headers: {},
          serviceName: "happier-light-server",
          resource: {},
          sampling: { kept: "always_on", ratio: 1, followsParent: true },
          timeoutMillis: 10_000,
          delayMillis: 5000,
          queueSize: 2048,
          batchSize: 512
        },
        warnings: []
      })
    })
  )

  it.effect.each([
    ["http://h:1/", undefined, "http://h:1/v1/traces"],
    ["https://h/base/?key=1", undefined, "https://h/base/v1/traces?key=1"],
    ["http://h:1", "http://other/as/it/is", "http://other/as/it/is"],
    [undefined, "http://other", "http://other"]
  ] as const)("finds the address in %s and %s", ([base, whole, url]) =>
    Effect.gen(function* () {
      const { tracing } = yield* load({
        OTEL_EXPORTER_OTLP_ENDPOINT: base ?? "",
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: whole ?? ""
      })
      assert.strictEqual(tracing?.url, url)
    })
  )

  it.effect.each(["collector:4317", "ftp://collector", "nonsense", "http://", "unix:/run/x"])(
    "does not start with the address %s",
    (address) =>
      Effect.gen(function* () {
        const problem = yield* Effect.flip(load({ OTEL_EXPORTER_OTLP_ENDPOINT: address }))
        assert.include(problem.message, `OTEL_EXPORTER_OTLP_ENDPOINT is "${address}"; allowed: an http or https URL`)
      })
  )

  it.effect.each([
    ["OTEL_TRACES_SAMPLER", "xray"],
    ["OTEL_TRACES_SAMPLER", "parentbased_"],
    ["OTEL_SDK_DISABLED", "1"],
    ["OTEL_TRACES_EXPORTER", "zipkin"],
    ["OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"],
    ["OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "0"],
    ["OTEL_BSP_MAX_QUEUE_SIZE", "-5"],
    ["OTEL_BSP_SCHEDULE_DELAY", "soon"],
    ["OTEL_EXPORTER_OTLP_TIMEOUT", "1e9"],
    ["OTEL_RESOURCE_ATTRIBUTES", "a=1,b"],
    ["OTEL_RESOURCE_ATTRIBUTES", "a=%E0%A4%A"],
    ["OTEL_EXPORTER_OTLP_HEADERS", "secret"],
    ["OTEL_EXPORTER_OTLP_HEADERS", "a b=secret"],
    ["OTEL_EXPORTER_OTLP_HEADERS", "a=secret%0D%0Ab: 1"]
  ] as const)("warns of %s=%s, and goes on as without it", ([name, value]) =>
    Effect.gen(function* () {
      const { tracing, warnings } = yield* load({ ...endpoint, [name]: value })
      assert.deepStrictEqual(tracing, (yield* load(endpoint)).tracing)
      assert.lengthOf(warnings, 1)
      assert.match(warnings[0] ?? "", new RegExp(`^${name} has a value .*cannot be used \\(allowed: `))
      assert.notInclude(warnings[0], "secret")
    })
  )

  it.effect.each([
    ["traceidratio", "0.25", { kept: "traceidratio", ratio: 0.25, followsParent: false }, 0],
    ["parentbased_traceidratio", "", { kept: "traceidratio", ratio: 1, followsParent: true }, 0],
    ["ParentBased_TraceIdRatio", "1.5", { kept: "traceidratio", ratio: 1, followsParent: true }, 1],
    ["traceidratio", "half", { kept: "traceidratio", ratio: 1, followsParent: false }, 1],
    ["always_off", "half", { kept: "always_off", ratio: 1, followsParent: false }, 0]
  ] as const)("reads the sampler %s with %s", ([sampler, argument, sampling, warningCount]) =>
    Effect.gen(function* () {
      const read = yield* load({ ...endpoint, OTEL_TRACES_SAMPLER: sampler, OTEL_TRACES_SAMPLER_ARG: argument })
      assert.deepStrictEqual(read.tracing?.sampling, sampling)
      assert.lengthOf(read.warnings, warningCount)
    })
  )

  it.effect("takes the name of the service from its variable before the attributes, and decodes both lists", () =>
    Effect.gen(function* () {
      const lists = {
        OTEL_RESOURCE_ATTRIBUTES: "service.name=a%2Cb, host.name = box",
        OTEL_EXPORTER_OTLP_HEADERS: "authorization=Basic%20a%3D"
      }
      const attributed = yield* load({ ...endpoint, ...lists })
      assert.deepInclude(attributed.tracing, {
        serviceName: "a,b",
        resource: { "host.name": "box" },
        headers: { authorization: "Basic a=" }
      })
      const named = yield* load({ ...endpoint, ...lists, OTEL_SERVICE_NAME: "c" })
      assert.strictEqual(named.tracing?.serviceName, "c")
    })
  )
})
