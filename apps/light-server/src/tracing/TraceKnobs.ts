/**
 * The standard variables of OpenTelemetry, as far as this server follows them.
 *
 * They are often set for a whole machine. So, as the specification of OpenTelemetry wants it, a value that cannot be
 * used is a warning and counts as not set. An address that cannot be used is a problem instead: the traces that
 * somebody asked for would go nowhere.
 */
import { Either, Redacted } from "effect"
import * as Knob from "../ConfigKnob.ts"
import { programName } from "../Version.ts"

/** A text that `optionsOf` reads: what cannot be used is a warning there. */
const text = (
  name: string,
  terms: { readonly allowed: string; readonly fallback?: string; readonly meaning: string }
) => Knob.make<string>(name, { fallback: "", ...terms }, Either.right)

const isAddress = (given: string): boolean => {
  const url = URL.canParse(given) ? new URL(given) : undefined
  return (url?.protocol === "http:" || url?.protocol === "https:") && url.hash === ""
}

const address = (name: string, meaning: string) =>
  Knob.make<string | undefined>(name, { fallback: undefined, allowed: "an http or https URL", meaning }, (given) =>
    isAddress(given) ? Either.right(given) : Either.left("")
  )

/** A whole number from 1 on, which `optionsOf` reads. */
const count = (name: string, terms: { readonly fallback: number; readonly max: number; readonly meaning: string }) =>
  text(name, { fallback: String(terms.fallback), allowed: `1 to ${terms.max}`, meaning: terms.meaning })

const samplers = ["always_on", "always_off", "traceidratio"] as const

type Choice = (typeof samplers)[number]

export const knobs = {
  endpoint: address(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "The collector of OpenTelemetry that receives traces, by OTLP over HTTP as JSON, below `/v1/traces`. " +
      "Unset, like the next one: no traces are made."
  ),
  tracesEndpoint: address("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "The same as a whole address, used as it is."),
  headers: Knob.make<Redacted.Redacted | undefined>(
    "OTEL_EXPORTER_OTLP_HEADERS",
    {
      fallback: undefined,
      allowed: "name=value, separated by commas, percent-encoded",
      isSecret: true,
      meaning: "Headers of what is sent to the collector, such as its key."
    },
    (given) => Either.right(Redacted.make(given))
  ),
  exporter: text("OTEL_TRACES_EXPORTER", {
    fallback: "otlp",
    allowed: "otlp, none",
    meaning: "`none`: no traces, whatever the address."
  }),
  disabled: text("OTEL_SDK_DISABLED", { allowed: "true, false", meaning: "`true`: no traces, whatever the address." }),
  protocol: text("OTEL_EXPORTER_OTLP_PROTOCOL", {
    fallback: "http/json",
    allowed: "http/json",
    meaning: "How traces are sent. Collectors take it on the port for HTTP, 4318."
  }),
  serviceName: text("OTEL_SERVICE_NAME", {
    allowed: "a name",
    meaning: `The name of this server in traces. Unset: \`service.name\` of the next one, or \`${programName}\`.`
  }),
  resourceAttributes: text("OTEL_RESOURCE_ATTRIBUTES", {
    allowed: "name=value, separated by commas, percent-encoded",
    meaning: "What else each trace says about this server, such as `deployment.environment.name=home`."
  }),
  sampler: text("OTEL_TRACES_SAMPLER", {
    fallback: "parentbased_always_on",
    allowed: [...samplers, ...samplers.map((name) => `parentbased_${name}`)].join(", "),
    meaning:
      "Which traces are kept. `parentbased_`: as the caller has decided, if it is trusted and sends `traceparent`."
  }),
  samplerArgument: text("OTEL_TRACES_SAMPLER_ARG", {
    allowed: "0 to 1",
    meaning: "The share that `traceidratio` keeps. Unset: 1."
  }),
  timeout: count("OTEL_EXPORTER_OTLP_TIMEOUT", {
    fallback: 10_000,
    max: 60_000,
    meaning: "Longest time of one request to the collector, in ms."
  }),
  delay: count("OTEL_BSP_SCHEDULE_DELAY", {
    fallback: 5000,
    max: 60_000,
    meaning: "Longest time that a span waits to be sent together with others, in ms."
  }),
  queueSize: count("OTEL_BSP_MAX_QUEUE_SIZE", {
    fallback: 2048,
    max: 100_000,
    meaning: "Spans that may wait for the collector. More are dropped."
  }),
  batchSize: count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", {
    fallback: 512,
    max: 10_000,
    meaning: "Spans of one request to the collector, at most as many as may wait."
  })
}

/** Which traces are kept. */
export interface Sampling {
  readonly kept: Choice
  /** Of `traceidratio`, from 0 to 1. */
  readonly ratio: number
  readonly followsParent: boolean
}

/** Where traces go, and which. */
export interface TraceOptions {
  readonly url: string
  readonly headers: { readonly [name: string]: string }
  readonly serviceName: string
  readonly resource: { readonly [name: string]: string }
  readonly sampling: Sampling
  readonly timeoutMillis: number
  readonly delayMillis: number
  readonly queueSize: number
  readonly batchSize: number
}

export interface Read {
  /** `undefined`: no traces are made. */
  readonly options: TraceOptions | undefined
  readonly warnings: ReadonlyArray<string>
}

type Values = Knob.Values<typeof knobs>

/** Collects a warning for each value that counts as not set. */
type Warn = (knob: Knob.Knob<unknown>, value: string | undefined, instead: string) => void

/** Reads `name=value,name=value`. Nothing at all when one pair cannot be read. */
const pairsOf = (given: string): { readonly [name: string]: string } | undefined => {
  const pairs = Knob.itemsOf(given).map((item) => /^([^=\s]+)\s*=\s*([^]*)$/.exec(item))
  try {
    return Object.fromEntries(
      pairs.map((pair) => {
        if (pair === null) throw new URIError()
        return [decodeURIComponent(pair[1] ?? ""), decodeURIComponent(pair[2] ?? "")]
      })
    )
  } catch {
    return undefined
  }
}

const pairs = (knob: Knob.Knob<unknown>, given: string, warn: Warn) => {
  const read = pairsOf(given)
  if (read === undefined) warn(knob, knob.isSecret ? undefined : given, "it is left out")
  return read ?? {}
}

const headersOf = (values: Values, warn: Warn) => {
  const read = pairs(knobs.headers, values.headers === undefined ? "" : Redacted.value(values.headers), warn)
  // What Node would refuse while it sends.
  const isSendable = Object.entries(read).every(
    ([name, value]) => /^[!#$%&'*+.^_`|~\w-]+$/.test(name) && /^[\t\x20-\x7e\x80-\xff]*$/.test(value)
  )
  if (!isSendable) warn(knobs.headers, undefined, "it is left out")
  return isSendable ? read : {}
}

const ratioOf = (given: string, warn: Warn): number => {
  const ratio = given === "" ? 1 : Number(given)
  if (ratio >= 0 && ratio <= 1) return ratio
  warn(knobs.samplerArgument, given, "all traces count")
  return 1
}

const samplingOf = ({ sampler, samplerArgument }: Values, warn: Warn): Sampling => {
  const [, parent, name] = /^(parentbased_)?(.*)$/.exec(sampler.toLowerCase()) ?? []
  const kept = samplers.find((known) => known === name)
  if (kept === undefined) warn(knobs.sampler, sampler, `it is ${knobs.sampler.fallback}`)
  return {
    kept: kept ?? "always_on",
    ratio: kept === "traceidratio" ? ratioOf(samplerArgument, warn) : 1,
    followsParent: kept === undefined || parent !== undefined
  }
}

/** The SDK would take any number, and with a batch of none it would never stop to send. */
const countOf = (knob: Knob.Knob<string>, given: string, warn: Warn): number => {
  const max = Number(/\d+$/.exec(knob.allowed)?.[0])
  const value = /^\d{1,9}$/.test(given) ? Number(given) : 0
  if (value >= 1 && value <= max) return value
  warn(knob, given, `it is ${knob.fallback}`)
  return Number(knob.fallback)
}

const isOff = ({ disabled, exporter }: Values, warn: Warn): boolean => {
  const [word, kind] = [disabled.toLowerCase(), exporter.toLowerCase()]
  if (!["", "true", "false"].includes(word)) warn(knobs.disabled, disabled, "it is false")
  if (!["otlp", "none"].includes(kind)) warn(knobs.exporter, exporter, `it is ${knobs.exporter.fallback}`)
  return word === "true" || kind === "none"
}

const urlOf = ({ endpoint, tracesEndpoint }: Values): string | undefined => {
  if (tracesEndpoint !== undefined || endpoint === undefined) return tracesEndpoint
  const url = new URL(endpoint)
  url.pathname = `${url.pathname.replace(/\/+$/, "")}/v1/traces`
  return url.href
}

/** The options of the traces. Without an address nothing is read, and nothing is warned of. */
export const optionsOf = (values: Values): Read => {
  const url = urlOf(values)
  if (url === undefined) return { options: undefined, warnings: [] }
  const warnings: Array<string> = []
  const warn: Warn = (knob, value, instead) => {
    const shown = value === undefined ? "" : ` ${JSON.stringify(value)}`
    warnings.push(`${knob.name} has a value${shown} that cannot be used (allowed: ${knob.allowed}), so ${instead}`)
  }
  if (isOff(values, warn)) return { options: undefined, warnings }
  if (values.protocol !== knobs.protocol.fallback) {
    warn(knobs.protocol, values.protocol, `traces are sent as ${knobs.protocol.fallback}`)
  }
  const { "service.name": otherName, ...resource } = pairs(knobs.resourceAttributes, values.resourceAttributes, warn)
  const options: TraceOptions = {
    url,
    headers: headersOf(values, warn),
    serviceName: values.serviceName || (otherName ?? "") || programName,
    resource,
    sampling: samplingOf(values, warn),
    timeoutMillis: countOf(knobs.timeout, values.timeout, warn),
    delayMillis: countOf(knobs.delay, values.delay, warn),
    queueSize: countOf(knobs.queueSize, values.queueSize, warn),
    batchSize: countOf(knobs.batchSize, values.batchSize, warn)
  }
  return { options, warnings }
}
