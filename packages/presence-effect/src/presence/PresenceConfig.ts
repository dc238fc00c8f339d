/**
 * Every knob of presence: default, unit, and the rules between them.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Lane from "../writer/Lane.ts"
import { type KindTerms, type PresenceKinds, problemsOf, termsOf } from "./PresenceKind.ts"

/**
 * A configuration is a value: it can be printed, compared and changed by
 * spreading.
 *
 * @category models
 * @since 0.1.0
 */
export interface PresenceConfig<Kind extends string = string> extends KindTerms {
  /** Time between two flushes. What a crash of the process can lose. */
  readonly interval: Duration.DurationInput
  /** Time between two sweeps for rows that are active in the database and not tracked in memory. */
  readonly sweepInterval: Duration.DurationInput
  /**
   * No row is shown offline for so long after the start, and after a pause of the process. A row that has not come back
   * when it is over is shown offline.
   */
  readonly startGrace: Duration.DurationInput
  /** Longest time for the last flush at shutdown. */
  readonly drainTimeout: Duration.DurationInput
  /** Rows tracked at once, all kinds together. About 300 bytes each. */
  readonly capacity: number
  /** Rows of the first chunk of a flush; the size adapts. */
  readonly chunkRows: number
  /** How long one chunk may hold the writer. */
  readonly chunkHold: Duration.DurationInput
  /** Lane of the ticks and sweeps. */
  readonly lane: Lane.Lane
  /** Lane of the write of an end, which its caller waits for. */
  readonly endLane: Lane.Lane
  /** Terms in which a kind differs from the others, by the name of the kind. */
  readonly kinds?: { readonly [Name in Kind]?: Partial<KindTerms> }
}

/**
 * Clients beat every 2 to 20 s: a row that is silent for 10 min missed 30 beats
 * at least. The grace of 15 s covers three reconnects of a client, which come
 * after 1 to 5 s each.
 *
 * @category presets
 * @since 0.1.0
 */
export const defaults: PresenceConfig<never> = {
  interval: "5 seconds",
  persistThreshold: "30 seconds",
  acceptanceWindow: "10 minutes",
  offlineTimeout: "10 minutes",
  sweepInterval: "60 seconds",
  disconnectGrace: "15 seconds",
  startGrace: "60 seconds",
  drainTimeout: "3 seconds",
  capacity: 1_000_000,
  chunkRows: 250,
  chunkHold: "3 millis",
  lane: Lane.presence,
  endLane: Lane.control
}

/**
 * Knobs that contradict each other or are out of range. Each problem names its
 * knob.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConfigInvalid extends Schema.TaggedError<ConfigInvalid>("presence-effect/ConfigInvalid")("ConfigInvalid", {
  problems: Schema.NonEmptyArray(Schema.String)
}) {
  /** @since 0.1.0 */
  override get message(): string {
    return `invalid presence configuration:\n${this.problems.map((problem) => `- ${problem}`).join("\n")}`
  }
}

type DurationKnob = Exclude<keyof PresenceConfig, "capacity" | "chunkRows" | "lane" | "endLane" | "kinds">

const durationKnobs: ReadonlyArray<DurationKnob> = [
  "interval",
  "persistThreshold",
  "acceptanceWindow",
  "offlineTimeout",
  "sweepInterval",
  "disconnectGrace",
  "startGrace",
  "drainTimeout",
  "chunkHold"
]

/** A host may want no threshold, no grace and no last flush. */
const mayBeZero: ReadonlySet<DurationKnob> = new Set([
  "persistThreshold",
  "disconnectGrace",
  "startGrace",
  "drainTimeout"
])

const kindKnobs = ["persistThreshold", "acceptanceWindow", "offlineTimeout", "disconnectGrace"] as const

const toMillis = (value: unknown): number =>
  Option.match(Duration.decodeUnknown(value), { onNone: () => Number.NaN, onSome: Duration.toMillis })

/** A knob of a kind, or the common one when the kind does not set it. */
type Show = (knob: DurationKnob) => string

const durationProblems = (value: unknown, knob: DurationKnob, name: string): ReadonlyArray<string> => {
  const millis = toMillis(value)
  const isTooSmall = mayBeZero.has(knob) ? millis < 0 : millis <= 0
  return Number.isFinite(millis) && !isTooSmall
    ? []
    : [`${name} must be a finite duration ${mayBeZero.has(knob) ? "of zero or more" : "above zero"}`]
}

/** How the knobs bind each other, for all kinds or for one. */
const contradictions = (config: PresenceConfig, show: Show): ReadonlyArray<string> => {
  const millis = (knob: DurationKnob): number => toMillis(config[knob])
  const problems: Array<string> = []
  if (millis("persistThreshold") + millis("interval") >= millis("offlineTimeout")) {
    problems.push(
      `${show("persistThreshold")} and ${show("interval")} together must stay below ${show("offlineTimeout")}: ` +
        "what is stored of a living row is older than it by both"
    )
  }
  if (millis("disconnectGrace") >= millis("offlineTimeout")) {
    problems.push(`${show("disconnectGrace")} must stay below ${show("offlineTimeout")}`)
  }
  if (millis("startGrace") < millis("disconnectGrace")) {
    problems.push(
      `${show("startGrace")} must not be shorter than ${show("disconnectGrace")}: ` +
        "after a restart everybody needs the time to come back that one has after a disconnect"
    )
  }
  if (millis("acceptanceWindow") > 4 * millis("offlineTimeout")) {
    problems.push(
      `${show("acceptanceWindow")} must not exceed four times ${show("offlineTimeout")}: ` +
        "such a heartbeat is accepted and means nobody is there"
    )
  }
  return problems
}

const problemsOfKind = (
  config: PresenceConfig,
  name: string,
  nameOf: (knob: keyof PresenceConfig) => string
): ReadonlyArray<string> => {
  const own = config.kinds?.[name] ?? {}
  const title = (knob: DurationKnob) => (knob in own ? `${nameOf("kinds")}.${name}.${knob}` : nameOf(knob))
  const merged = { ...config, ...termsOf(config, name) }
  return [
    ...kindKnobs.flatMap((knob) => (knob in own ? durationProblems(own[knob], knob, title(knob)) : [])),
    ...contradictions(merged, (knob) => `${title(knob)} (${toMillis(merged[knob])} ms)`)
  ]
}

/** A name that no kind has would be a term that holds for nothing. */
const undeclared = (
  config: PresenceConfig,
  kinds: PresenceKinds,
  nameOf: (knob: keyof PresenceConfig) => string
): ReadonlyArray<string> =>
  Object.keys(config.kinds ?? {})
    .filter((name) => !Object.hasOwn(kinds, name))
    .map((name) => `${nameOf("kinds")}.${name}: no such kind is declared, only ${Object.keys(kinds).join(", ")}`)

/**
 * Fills in the defaults and checks every knob, and the declaration of the kinds when it is given. `nameOf` is how
 * problems name a knob: a program that reads knobs from the environment names its variables.
 *
 * **Errors**: `ConfigInvalid` with every problem found.
 *
 * @example
 * import * as PresenceConfig from "presence-effect/presence/PresenceConfig"
 * import * as Either from "effect/Either"
 *
 * console.log(Either.isLeft(PresenceConfig.resolve({ disconnectGrace: "1 hour" })))
 * console.log(Either.isLeft(PresenceConfig.resolve({ kinds: { device: { offlineTimeout: "1 second" } } })))
 *
 * @category conversions
 * @since 0.1.0
 */
export const resolve = <Kind extends string = string>(
  given: Partial<PresenceConfig<Kind>> = {},
  nameOf: (knob: keyof PresenceConfig) => string = (knob) => knob,
  kinds?: PresenceKinds
): Either.Either<PresenceConfig<Kind>, ConfigInvalid> => {
  const config: PresenceConfig<Kind> = { ...defaults, ...given }
  const problems: Array<string> = durationKnobs.flatMap((knob) => durationProblems(config[knob], knob, nameOf(knob)))
  for (const knob of ["capacity", "chunkRows"] as const) {
    if (!Number.isSafeInteger(config[knob]) || config[knob] < 1) {
      problems.push(`${nameOf(knob)} must be a whole number of at least 1, got ${config[knob]}`)
    }
  }
  problems.push(...contradictions(config, (knob) => `${nameOf(knob)} (${toMillis(config[knob])} ms)`))
  const common = new Set(problems)
  for (const name of Object.keys(config.kinds ?? {})) {
    problems.push(...problemsOfKind(config, name, nameOf).filter((problem) => !common.has(problem)))
  }
  if (kinds !== undefined) problems.push(...problemsOf(kinds), ...undeclared(config, kinds, nameOf))
  return Arr.isNonEmptyArray(problems) ? Either.left(new ConfigInvalid({ problems })) : Either.right(config)
}

const duration = (knob: DurationKnob, description: string): Config.Config<Duration.DurationInput> =>
  Config.duration(knob).pipe(
    Config.withDescription(description),
    Config.map((value): Duration.DurationInput => value),
    Config.withDefault(defaults[knob])
  )

const count = (knob: "capacity" | "chunkRows", description: string): Config.Config<number> =>
  Config.integer(knob).pipe(Config.withDescription(description), Config.withDefault(defaults[knob]))

const lane = (knob: "lane" | "endLane", description: string): Config.Config<Lane.Lane> =>
  Schema.Config(knob, Lane.Lane).pipe(Config.withDescription(description), Config.withDefault(defaults[knob]))

/**
 * The knobs from the configuration of the program, each with its default, except `kinds`, which are part of a program.
 * Nest it and choose the provider's case where it is used: with
 * `Config.nested("presence")` and a constant-case provider over the environment,
 * `interval` is `PRESENCE_INTERVAL`.
 *
 * @category config
 * @since 0.1.0
 */
export const config: Config.Config<PresenceConfig> = Config.all({
  interval: duration("interval", "Time between two flushes"),
  persistThreshold: duration("persistThreshold", "An active row is written again when newer than stored by this"),
  acceptanceWindow: duration("acceptanceWindow", "Older heartbeats are ignored, end markers are kept as long"),
  offlineTimeout: duration("offlineTimeout", "Silence after which a row is shown offline"),
  sweepInterval: duration("sweepInterval", "Time between two sweeps of the database for silent rows"),
  disconnectGrace: duration("disconnectGrace", "Time to come back after the last connection closed"),
  startGrace: duration("startGrace", "Nobody is shown offline for so long after a start or a pause"),
  drainTimeout: duration("drainTimeout", "Longest time for the last flush at shutdown"),
  capacity: count("capacity", "Rows tracked at once, all kinds together"),
  chunkRows: count("chunkRows", "Rows of the first chunk of a flush"),
  chunkHold: duration("chunkHold", "How long one chunk may hold the writer"),
  lane: lane("lane", "Lane of the ticks and sweeps"),
  endLane: lane("endLane", "Lane of the write of an end")
})
