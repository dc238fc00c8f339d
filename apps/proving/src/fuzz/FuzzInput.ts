/**
 * Inputs for every route and event: valid ones, ones with an error in one
 * place, and arbitrary ones.
 */
import { Arbitrary, FastCheck as fc, Schema } from "effect"

const nested = (levels: number, open: string, close: string) => `${open.repeat(levels)}1${close.repeat(levels)}`

/** Bodies that are deep, wide or large, each below the limit of bytes of most routes. */
export const extremes: ReadonlyArray<{ readonly name: string; readonly body: string }> = [
  { name: "deep arrays", body: nested(10_000, "[", "]") },
  { name: "deep objects", body: nested(10_000, '{"a":', "}") },
  { name: "deep in a field", body: `{"metadata":${nested(10_000, "[", "]")}}` },
  { name: "wide object", body: `{${Array.from({ length: 100_000 }, (_, index) => `"${index}":0`).join()}}` },
  { name: "wide array", body: `[${"0,".repeat(100_000)}0]` },
  { name: "large text", body: JSON.stringify("x".repeat(1_000_000)) },
  { name: "large texts in a field", body: JSON.stringify({ metadata: Array.from({ length: 100_000 }, () => "xxxx") }) },
  { name: "large broken JSON", body: `{"metadata":"${"x".repeat(1_000_000)}` },
  { name: "escapes", body: `{"metadata":"${"\\\\".repeat(400_000)}` }
]

/** What is known of a route or an event. */
export interface Target {
  readonly kind: "route" | "event"
  /** `POST /v1/machines`, or the name of the event. */
  readonly name: string
  readonly body: Schema.Schema.AnyNoContext | undefined
  readonly querystring: Schema.Schema.AnyNoContext | undefined
}

export interface Input {
  readonly target: Target
  readonly id: string
  readonly query: unknown
  readonly body: unknown
  /** How the body is written down. */
  readonly form: "json" | "cut" | "text" | "untyped" | "none"
  readonly isAuthorized: boolean
}

/** Ids that exist, for the fields that name something. */
export interface Known {
  readonly sid: string
  readonly machineId: string
  readonly artifactId: string
  readonly publicKey: string
}

/** What stands for an id until it is known which ones there are. */
export const placeholders: Known = {
  sid: "<sid>",
  machineId: "<machineId>",
  artifactId: "<artifactId>",
  publicKey: "<publicKey>"
}

/** Bytes in base64. */
const bytes = "AAEC"

/** The usual values of fields by their name, wherever they occur. */
const usual: { readonly [field: string]: unknown } = {
  id: placeholders.machineId,
  artifactId: placeholders.artifactId,
  header: bytes,
  body: bytes,
  data: bytes,
  value: bytes,
  version: -1,
  dataEncryptionKey: bytes,
  machineId: placeholders.machineId,
  sid: placeholders.sid,
  sessionId: placeholders.sid,
  publicKey: placeholders.publicKey,
  method: `${placeholders.sid}:bash`,
  limit: "7",
  after: "0",
  beforeSeq: "9",
  afterSeq: "0"
}

/** Numbers, texts and names that have caused bugs in programs before. */
const oddNumbers = [
  0,
  -0,
  -1,
  1.5,
  Number.MAX_SAFE_INTEGER,
  2 ** 53,
  1e308,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  1.8e12
]
const oddWords = ["", " ", "\u0000", "\ud800", "0", "null", "__proto__", "constructor", "' OR 1=1 --", "%00", "../.."]
const oddLengths = [129, 257, 20_000].map((length) => "x".repeat(length))
const oddObjects: ReadonlyArray<unknown> = [
  null,
  true,
  [],
  {},
  [[[[[[]]]]]],
  { __proto__: null },
  Object.fromEntries([["__proto__", { sid: "x" }]]),
  { toString: null },
  { toJSON: 1 },
  { length: 1e9 }
]

const odd: fc.Arbitrary<unknown> = fc.constantFrom<unknown>(...oddNumbers, ...oddWords, ...oddLengths, ...oddObjects)

/** Where an object is expected, each of these is a common mistake. */
const nothing: fc.Arbitrary<unknown> = fc.constantFrom<unknown>(undefined, null, "", [])

const anything: fc.Arbitrary<unknown> = fc.oneof(
  odd,
  fc.anything({ withNullPrototype: true, withObjectString: true, withTypedArray: true, withDate: true, maxDepth: 3 }),
  fc.jsonValue({ maxDepth: 4 })
)

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Fields that name something name something that exists, most of the time; numbers in a query are numbers. */
const withIds = (value: unknown, isKnown: boolean): unknown => {
  if (!isKnown) return value
  if (Array.isArray(value)) return value.map((each) => withIds(each, true))
  if (!isRecord(value)) return value
  return Object.fromEntries(Object.entries(value).map(([field, old]) => [field, usual[field] ?? withIds(old, true)]))
}

/** One change in one place: another value, a field that is gone, or one too many. */
const spoiled = (value: unknown, at: number, by: unknown, how: number): unknown => {
  if (!isRecord(value) || Object.keys(value).length === 0) return by
  const fields = Object.keys(value)
  const field = fields[at % fields.length] ?? ""
  switch (how % 5) {
    case 0: {
      const { [field]: _, ...rest } = value
      return rest
    }
    case 1:
      return { ...value, [`${field}2`]: by }
    case 2:
      return { ...value, [field]: [value[field], by] }
    case 3:
      return { ...value, [field]: spoiled(value[field], at >> 4, by, how) }
    default:
      return { ...value, [field]: by }
  }
}

/** Of the schema as it is on the wire: its filters hold, its conversions are not done yet. */
const fitting = (schema: Schema.Schema.AnyNoContext): fc.Arbitrary<unknown> =>
  Arbitrary.make(Schema.encodedBoundSchema(schema as Schema.Schema<unknown>))

const near = (schema: Schema.Schema.AnyNoContext): fc.Arbitrary<unknown> => {
  const good = fc
    .tuple(fitting(schema), fc.integer({ min: 0, max: 9 }))
    .map(([value, chance]) => withIds(value, chance > 0))
  return fc.oneof(
    { arbitrary: good, weight: 5 },
    {
      arbitrary: fc
        .tuple(good, fc.nat(1000), anything, fc.nat(4))
        .map(([value, at, by, how]) => spoiled(value, at, by, how)),
      weight: 4
    },
    { arbitrary: anything, weight: 1 },
    { arbitrary: nothing, weight: 2 }
  )
}

const ids = fc.oneof(
  { arbitrary: fc.constantFrom(placeholders.sid, placeholders.machineId, placeholders.artifactId), weight: 4 },
  { arbitrary: fc.string({ maxLength: 220, unit: "grapheme" }), weight: 1 },
  {
    arbitrary: fc.constantFrom(
      "%00",
      "..",
      "%2e%2e%2f",
      "%E0%A4%A",
      "%",
      "'",
      "x".repeat(300),
      "00000000-0000-4000-8000-000000000000"
    ),
    weight: 1
  }
)

const forms: fc.Arbitrary<Input["form"]> = fc.oneof(
  { arbitrary: fc.constant<Input["form"]>("json"), weight: 12 },
  { arbitrary: fc.constantFrom<Input["form"]>("cut", "text", "untyped", "none"), weight: 1 }
)

const inputOf = (target: Target): fc.Arbitrary<Input> =>
  fc.record({
    target: fc.constant(target),
    id: ids,
    query: target.querystring === undefined ? fc.constant({}) : near(target.querystring),
    body: target.body === undefined ? anything : near(target.body),
    form: forms,
    isAuthorized: fc.integer({ min: 0, max: 19 }).map((chance) => chance > 0)
  })

export const inputs = (targets: ReadonlyArray<Target>): fc.Arbitrary<Input> => fc.oneof(...targets.map(inputOf))

/** The input with ids that exist where its placeholders are. */
export const fill = <A>(value: A, known: Known): A => {
  const fillText = (text: string) =>
    text
      .replaceAll(placeholders.sid, known.sid)
      .replaceAll(placeholders.machineId, known.machineId)
      .replaceAll(placeholders.artifactId, known.artifactId)
      .replaceAll(placeholders.publicKey, known.publicKey)
  const visit = (part: unknown): unknown => {
    if (typeof part === "string") return fillText(part)
    if (!isRecord(part) || Object.getPrototypeOf(part) !== Object.prototype) return part
    return Object.fromEntries(Object.entries(part).map(([name, inner]) => [name, visit(inner)]))
  }
  return visit(value) as A
}
