/** The configuration of the server, read from the environment once. */
import {
  Array as Arr,
  Config,
  ConfigError,
  ConfigProvider,
  Effect,
  Either,
  Option,
  type Redacted,
  Schema
} from "effect"
import leven from "leven"
import os from "node:os"
import path from "node:path"
import * as Lane from "presence-effect/writer/Lane"
import * as WriterPolicy from "presence-effect/writer/WriterPolicy"
import * as PairingKnobs from "../accounts/PairingKnobs.ts"
import type * as PairingStore from "../accounts/PairingStore.ts"
import * as ChangeKnobs from "../changes/ChangeKnobs.ts"
import type * as ChangePruner from "../changes/ChangePruner.ts"
import { type Knob, problemOf } from "../ConfigKnob.ts"
import { knobs, ofClients, withoutEffect } from "./ConfigNames.ts"
import * as DatabaseKnobs from "../opening/DatabaseKnobs.ts"
import * as HttpKnobs from "../http/HttpKnobs.ts"
import type { RateLimits } from "../door/RateLimit.ts"
import type { LogLevelName } from "../LogLevels.ts"
import * as RealtimeKnobs from "../realtime/RealtimeKnobs.ts"
import type { RealtimeOptions } from "../realtime/RealtimeOptions.ts"
import * as RpcKnobs from "../rpc/RpcKnobs.ts"
import type { RpcOptions } from "../rpc/RpcOptions.ts"
import * as ShutdownBudget from "../ShutdownBudget.ts"

export interface ServerConfig {
  readonly dataDirectory: string
  readonly databaseFile: string
  /** `undefined`: the file in the data directory. */
  readonly masterSecret: Redacted.Redacted | undefined
  /** `undefined`: the migrations of this repository. */
  readonly migrationsDirectory: string | undefined
  readonly autoMigrate: boolean
  readonly host: string
  readonly port: number
  readonly publicUrl: string | undefined
  readonly metricsEnabled: boolean
  readonly writerPolicy: WriterPolicy.WriterPolicy
  /** Zero: no checkpoints of ours. */
  readonly checkpointIntervalMillis: number
  /** -1: no limit. */
  readonly journalSizeLimitBytes: number
  readonly protection: DatabaseKnobs.Protection
  readonly presence: {
    readonly flushIntervalMillis: number
    readonly persistThresholdMillis: number
    readonly offlineTimeoutMillis: number
    readonly sweepIntervalMillis: number
    readonly disconnectGraceMillis: number
    readonly startGraceMillis: number
    readonly drainTimeoutMillis: number
  }
  readonly logLevel: LogLevelName
  readonly corsOrigins: ReadonlyArray<string>
  readonly bodyLimitBytes: number
  readonly trustedProxies: ReadonlyArray<string>
  readonly rateLimits: RateLimits
  readonly http: HttpKnobs.HttpSettings
  readonly pairing: PairingStore.Options
  readonly shutdownTimeoutMillis: number
  /** How it is split. */
  readonly shutdownBudget: ShutdownBudget.ShutdownBudget
  readonly realtime: RealtimeOptions
  readonly rpc: RpcOptions
  readonly changes: ChangePruner.Options
}

/** Name of the database in the data directory. */
export const defaultDatabaseName = "happier-server-light.sqlite"

/** The configuration, and what its author should know although it is valid. */
export interface Loaded {
  readonly config: ServerConfig
  readonly warnings: ReadonlyArray<string>
}

/** Values that cannot be used, all of them at once. */
export class ConfigInvalid extends Schema.TaggedError<ConfigInvalid>("light-server/ConfigInvalid")("ConfigInvalid", {
  problems: Schema.NonEmptyArray(Schema.String)
}) {
  override get message(): string {
    return `invalid configuration:\n${this.problems.map((problem) => `- ${problem}`).join("\n")}`
  }
}

/** Variables by name, as in `process.env`. */
export interface Environment {
  readonly [name: string]: string | undefined
}

/** An empty variable is an unset one: that is what unit files and compose files leave behind. */
const textOf = (name: string) =>
  Config.string(name).pipe(
    Config.option,
    Config.map(Option.map((text) => text.trim())),
    Config.map(Option.filter((text) => text !== ""))
  )

const configOf = <A>(knob: Knob<A>): Config.Config<A> =>
  Config.all([
    textOf(knob.name),
    knob.alias === undefined ? Config.succeed(Option.none<string>()) : textOf(knob.alias)
  ]).pipe(
    Config.mapOrFail(([named, aliased]) => {
      const name = Option.isNone(named) && Option.isSome(aliased) ? (knob.alias ?? knob.name) : knob.name
      const text = named.pipe(
        Option.orElse(() => aliased),
        Option.getOrElse(() => knob.fallback)
      )
      return Either.mapLeft(knob.parse(text), (reason) =>
        ConfigError.InvalidData([name], problemOf(knob, name, text, reason))
      )
    })
  )

type Values = { readonly [K in keyof typeof knobs]: (typeof knobs)[K] extends Knob<infer A> ? A : never }

const allValues = Config.all(
  Object.fromEntries(Object.entries(knobs).map(([key, knob]) => [key, configOf<unknown>(knob)]))
) as unknown as Config.Config<Values>

const problemsOf = (error: ConfigError.ConfigError): ReadonlyArray<string> =>
  ConfigError.reduceWithContext(error, undefined, {
    andCase: (_, left, right) => [...left, ...right],
    orCase: (_, left, right) => [...left, ...right],
    missingDataCase: (_, names, message) => [`${names.join(".")}: ${message}`],
    invalidDataCase: (_, __, message) => [message],
    sourceUnavailableCase: (_, names, message) => [`${names.join(".")}: ${message}`],
    unsupportedCase: (_, names, message) => [`${names.join(".")}: ${message}`]
  })

const crossProblems = (values: Values): ReadonlyArray<string> => {
  type MillisKnob = Exclude<keyof Values & `${string}Millis`, "busyTimeoutMillis">
  const named = (key: MillisKnob) => `${knobs[key].name} (${values[key]} ms)`
  const below = (lows: ReadonlyArray<MillisKnob>, high: MillisKnob, reason: string) =>
    lows.reduce((sum, key) => sum + values[key], 0) < values[high]
      ? []
      : [`${lows.map(named).join(" plus ")} must be below ${named(high)}: ${reason}`]
  return [
    ...below(
      ["persistThresholdMillis", "flushIntervalMillis"],
      "offlineTimeoutMillis",
      "what is stored of a living row is older than it by both"
    ),
    ...below(["disconnectGraceMillis"], "offlineTimeoutMillis", "who left is offline before who is silent"),
    ...(values.startGraceMillis < values.disconnectGraceMillis
      ? [
          `${named("startGraceMillis")} must not be below ${named("disconnectGraceMillis")}: ` +
            "after a restart everybody needs the time that one has after a disconnect"
        ]
      : []),
    ...shutdownProblems(values),
    ...RealtimeKnobs.problemsOf(values, values.bodyLimitBytes)
  ]
}

const shutdownProblems = (values: Values): ReadonlyArray<string> => {
  const least = ShutdownBudget.leastMillis(values)
  if (least <= values.shutdownTimeoutMillis) return []
  const named = (["drainTimeoutMillis", "socketDrainTimeoutMillis", "socketCloseSpreadMillis"] as const).map(
    (key) => `${knobs[key].name} (${values[key]} ms)`
  )
  const own = least - values.drainTimeoutMillis - values.socketDrainTimeoutMillis - values.socketCloseSpreadMillis
  return [
    `${named.join(" plus ")} plus ${own} ms for all other steps must not be above ` +
      `${knobs.shutdownTimeoutMillis.name} (${values.shutdownTimeoutMillis} ms): ` +
      "the last flush must end before the process does"
  ]
}

const withBusyTimeout = (policy: WriterPolicy.WriterPolicy, asked: number) => {
  const resolved = Either.getOrThrow(WriterPolicy.resolve(policy))
  return resolved.lanes
    .filter(({ lane }) => lane === Lane.control || lane === Lane.data)
    .reduce<{ readonly policy: WriterPolicy.WriterPolicy; readonly warnings: ReadonlyArray<string> }>(
      ({ policy, warnings }, terms) => {
        // What one attempt may take, and the delay before it, must still fit below the deadline.
        const spent = WriterPolicy.worstCaseMillis({ ...terms, retryForMillis: 0 }) + terms.retryDelayMaxMillis
        const retryFor = Math.min(asked, terms.deadlineMillis - spent)
        const retry = policy.lanes.find(({ lane }) => lane === terms.lane)?.retry
        return {
          policy:
            retry === undefined ? policy : WriterPolicy.withLane(policy, terms.lane, { retry: { ...retry, retryFor } }),
          warnings:
            retryFor === asked
              ? warnings
              : [
                  ...warnings,
                  `${knobs.busyTimeoutMillis.name} is ${asked} ms, but lane ${terms.lane} answers within its ` +
                    `deadline of ${terms.deadlineMillis} ms, so it keeps trying for ${retryFor} ms`
                ]
        }
      },
      { policy, warnings: [] }
    )
}

const writerPolicyOf = (values: Values) => {
  const durability = values.synchronous === "FULL" ? "power-loss" : "process-crash"
  const policy: WriterPolicy.WriterPolicy =
    values.synchronous === undefined
      ? WriterPolicy.defaults
      : { ...WriterPolicy.defaults, lanes: WriterPolicy.defaults.lanes.map((lane) => ({ ...lane, durability })) }
  const patient =
    values.busyTimeoutMillis === undefined
      ? { policy, warnings: [] }
      : withBusyTimeout(policy, values.busyTimeoutMillis)
  return values.synchronous === "NORMAL"
    ? {
        policy: patient.policy,
        warnings: [
          `${knobs.synchronous.name} is NORMAL: an acknowledged write can be lost when the power fails`,
          ...patient.warnings
        ]
      }
    : patient
}

/** Typing errors are rare in defaults, so only names of our own families are looked at. */
const nameWarnings = (environment: Environment): ReadonlyArray<string> => {
  const known = Object.values<Knob<unknown>>(knobs).flatMap(({ name, alias }) =>
    alias === undefined ? [name] : [name, alias]
  )
  return Object.entries(environment).flatMap(([name, value]) => {
    if (value === undefined || value.trim() === "" || known.includes(name)) return []
    const reason = withoutEffect[name]
    if (reason !== undefined) return [`${name} has no effect here: ${reason}`]
    if (!name.startsWith("HAPPIER_") || ofClients.some((pattern) => pattern.test(name))) return []
    const [closest] = known
      .map((candidate) => ({ candidate, distance: leven(name, candidate) }))
      .toSorted((a, b) => a.distance - b.distance)
    return closest !== undefined && closest.distance <= Math.max(2, name.length / 5)
      ? [`${name} is not known, did you mean ${closest.candidate}?`]
      : [`${name} is not known and has no effect`]
  })
}

const absolute = (home: string, text: string) => path.resolve(text.replace(/^~(?=$|\/)/, home))

/**
 * Reads the configuration.
 *
 * **Errors**: `ConfigInvalid` with every problem found, each naming its
 * variable, the value and what is allowed.
 */
export const load = (environment: Environment): Effect.Effect<Loaded, ConfigInvalid> =>
  Effect.gen(function* () {
    const entries = Object.entries(environment).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value] as const]
    )
    const values = yield* ConfigProvider.fromMap(new Map(entries))
      .load(allValues)
      .pipe(Effect.mapError((error) => invalid(problemsOf(error))))
    const problems = crossProblems(values)
    if (problems.length > 0) return yield* invalid(problems)

    const dataDirectory = absolute(environment["HOME"] ?? os.homedir(), values.dataDirectory)
    const { policy, warnings } = writerPolicyOf(values)
    const config: ServerConfig = {
      dataDirectory,
      databaseFile: path.resolve(dataDirectory, values.databaseFile ?? defaultDatabaseName),
      masterSecret: values.masterSecret,
      migrationsDirectory:
        values.migrationsDirectory === undefined ? undefined : path.resolve(values.migrationsDirectory),
      autoMigrate: values.autoMigrate,
      host: values.host,
      port: values.port,
      publicUrl: values.publicUrl,
      metricsEnabled: values.metricsEnabled,
      writerPolicy: policy,
      checkpointIntervalMillis: values.checkpointIntervalMillis,
      journalSizeLimitBytes: values.journalSizeLimitBytes,
      protection: DatabaseKnobs.protectionOf(values),
      presence: {
        flushIntervalMillis: values.flushIntervalMillis,
        persistThresholdMillis: values.persistThresholdMillis,
        offlineTimeoutMillis: values.offlineTimeoutMillis,
        sweepIntervalMillis: values.sweepIntervalMillis,
        disconnectGraceMillis: values.disconnectGraceMillis,
        startGraceMillis: values.startGraceMillis,
        drainTimeoutMillis: values.drainTimeoutMillis
      },
      logLevel: values.logLevel,
      corsOrigins: values.corsOrigins,
      bodyLimitBytes: values.bodyLimitBytes,
      trustedProxies: values.trustedProxies,
      rateLimits: HttpKnobs.rateLimitsOf(values),
      http: HttpKnobs.settingsOf(values),
      pairing: PairingKnobs.optionsOf(values),
      shutdownTimeoutMillis: values.shutdownTimeoutMillis,
      shutdownBudget: ShutdownBudget.make(values),
      realtime: RealtimeKnobs.optionsOf(values, values),
      rpc: RpcKnobs.optionsOf(values, values),
      changes: ChangeKnobs.optionsOf(values)
    }
    return { config, warnings: [...nameWarnings(environment), ...warnings] }
  })

const invalid = (problems: ReadonlyArray<string>): ConfigInvalid =>
  new ConfigInvalid({
    problems: Arr.isNonEmptyReadonlyArray(problems) ? problems : ["the configuration cannot be read"]
  })
