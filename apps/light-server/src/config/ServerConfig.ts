/** The configuration of the server, read from the environment once. */
import { Array as Arr, Duration, Effect, Either, Schema } from "effect"
import path from "node:path"
import type * as PresenceConfig from "presence-effect/presence/PresenceConfig"
import type * as WriterPolicy from "presence-effect/writer/WriterPolicy"
import * as AccountKnobs from "../accounts/AccountKnobs.ts"
import type * as PairingStore from "../accounts/PairingStore.ts"
import * as ChangeKnobs from "../changes/ChangeKnobs.ts"
import * as ChangePruner from "../changes/ChangePruner.ts"
import type { Values } from "../ConfigKnob.ts"
import * as OperatorKnobs from "../door/OperatorKnobs.ts"
import * as RateLimit from "../door/RateLimit.ts"
import * as RateLimitKnobs from "../door/RateLimitKnobs.ts"
import * as HttpKnobs from "../http/HttpKnobs.ts"
import * as BackupKnobs from "../operator/BackupKnobs.ts"
import * as DatabaseKnobs from "../opening/DatabaseKnobs.ts"
import type { PostgresAddress } from "../PostgresAddress.ts"
import * as QuotaKnobs from "../quota/QuotaKnobs.ts"
import * as RealtimeKnobs from "../realtime/RealtimeKnobs.ts"
import * as RealtimeOptions from "../realtime/RealtimeOptions.ts"
import * as ReplicaKnobs from "../replicas/ReplicaKnobs.ts"
import * as RpcKnobs from "../rpc/RpcKnobs.ts"
import * as RpcOptions from "../rpc/RpcOptions.ts"
import * as TraceKnobs from "../tracing/TraceKnobs.ts"
import * as ShutdownBudget from "../ShutdownBudget.ts"
import * as ConfigSources from "./ConfigSources.ts"
import { type Environment, read, type RoomValues } from "./Environment.ts"
import * as HomeDirectory from "./HomeDirectory.ts"
import { knobsOf } from "./KnobTable.ts"
import * as OtherNames from "./OtherNames.ts"
import * as PresenceKnobs from "./PresenceKnobs.ts"
import * as ServerKnobs from "./ServerKnobs.ts"
import { writerPolicyOf } from "./WriterPolicyOf.ts"

export type { Environment } from "./Environment.ts"

/** Every setting of the server, by room, in the order of the documentation. */
export const rooms = {
  server: ServerKnobs.knobs,
  http: HttpKnobs.knobs,
  operator: OperatorKnobs.knobs,
  signUp: AccountKnobs.signUpKnobs,
  file: DatabaseKnobs.fileKnobs,
  postgres: DatabaseKnobs.postgresKnobs,
  writes: DatabaseKnobs.writeKnobs,
  protection: DatabaseKnobs.protectionKnobs,
  quota: QuotaKnobs.knobs,
  presence: PresenceKnobs.knobs,
  rateLimits: RateLimitKnobs.knobs,
  pairing: AccountKnobs.pairingKnobs,
  realtime: RealtimeKnobs.knobs,
  rpc: RpcKnobs.knobs,
  replicas: ReplicaKnobs.knobs,
  changes: ChangeKnobs.knobs,
  backup: BackupKnobs.knobs,
  tracing: TraceKnobs.knobs
}

type RoomOptions = RoomValues<typeof rooms>

/** The options of each part of the server, as its directory declares them. `undefined`: the documented default. */
export interface ServerConfig
  extends
    Values<typeof ServerKnobs.knobs>,
    Values<typeof HttpKnobs.knobs>,
    Values<typeof OperatorKnobs.knobs>,
    Values<typeof AccountKnobs.signUpKnobs>,
    Values<typeof ReplicaKnobs.knobs>,
    Omit<Values<typeof DatabaseKnobs.fileKnobs>, "databasePlace" | "provider">,
    Pick<Values<typeof DatabaseKnobs.writeKnobs>, "checkpointIntervalMillis" | "journalSizeLimitBytes"> {
  /** Not used while `postgres` is there. */
  readonly databaseFile: string
  /** `undefined`: the database is a file. */
  readonly postgres: PostgresPlace | undefined
  readonly writerPolicy: WriterPolicy.WriterPolicy
  readonly protection: DatabaseKnobs.Protection
  /** What an account may store. `undefined`: whatever the disk takes. */
  readonly quota: QuotaKnobs.Limits | undefined
  readonly presence: PresenceConfig.PresenceConfig
  readonly rateLimits: RateLimit.RateLimits
  readonly pairing: PairingStore.Options
  /** How `shutdownTimeoutMillis` is split. */
  readonly shutdownBudget: ShutdownBudget.ShutdownBudget
  readonly realtime: RealtimeOptions.RealtimeOptions
  readonly rpc: RpcOptions.RpcOptions
  readonly changes: ChangePruner.Options
  /** Where traces go. `undefined`: none are made. */
  readonly tracing: TraceKnobs.TraceOptions | undefined
  readonly backup: Omit<Values<typeof BackupKnobs.knobs>, "directory"> & { readonly directory: string }
}

/** A database of a PostgreSQL server, and how many connections are opened. */
export interface PostgresPlace extends Values<typeof DatabaseKnobs.postgresKnobs> {
  readonly address: PostgresAddress
}

/** Name of the database in the data directory. */
export const defaultDatabaseName = "happier-server-light.sqlite"

/** The configuration, and warnings about values that are valid but probably not intended. */
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

const shutdownTerms = (
  { shutdownTimeoutMillis }: RoomOptions["server"],
  presence: Pick<PresenceConfig.PresenceConfig, "drainTimeout">,
  { closeSpread, drainTimeout }: RealtimeOptions.RealtimeOptions,
  isTraced: boolean
): ShutdownBudget.ShutdownTerms => ({
  isTraced,
  shutdownTimeoutMillis,
  socketCloseSpreadMillis: Duration.toMillis(closeSpread),
  socketDrainTimeoutMillis: Duration.toMillis(drainTimeout),
  drainTimeoutMillis: Duration.toMillis(presence.drainTimeout)
})

const shutdownProblems = (terms: ShutdownBudget.ShutdownTerms): ReadonlyArray<string> => {
  const least = ShutdownBudget.leastMillis(terms)
  if (least <= terms.shutdownTimeoutMillis) return []
  return [
    `${PresenceKnobs.knobs.drainTimeout.name} (${terms.drainTimeoutMillis} ms) plus ` +
      `${least - terms.drainTimeoutMillis} ms for all other steps must not be above ` +
      `${ServerKnobs.knobs.shutdownTimeoutMillis.name} (${terms.shutdownTimeoutMillis} ms): ` +
      "the last flush must end before the process does"
  ]
}

const directoriesOf = (environment: Environment, { file, server }: RoomOptions) =>
  Either.mapBoth(HomeDirectory.expand(server.dataDirectory, environment), {
    onLeft: () =>
      `${ServerKnobs.knobs.dataDirectory.name} (${server.dataDirectory}) needs a home directory, ` +
      "and this user has none; set it to an absolute path, or set HOME",
    onRight: (expanded) => {
      const dataDirectory = path.resolve(expanded)
      return {
        dataDirectory,
        databaseFile: path.resolve(
          dataDirectory,
          file.databasePlace?._tag === "File" ? file.databasePlace.path : defaultDatabaseName
        ),
        migrationsDirectory: file.migrationsDirectory === undefined ? undefined : path.resolve(file.migrationsDirectory)
      }
    }
  })

const postgresOf = ({ file, postgres }: RoomOptions): PostgresPlace | undefined =>
  file.databasePlace?._tag === "Postgres" ? { address: file.databasePlace.address, ...postgres } : undefined

const backupOf = ({ backup }: RoomOptions, dataDirectory: string): ServerConfig["backup"] => ({
  ...backup,
  directory: path.resolve(dataDirectory, backup.directory ?? "backups")
})

/** Several servers are one to their clients only with one database and one secret. */
const replicaProblems = ({ file, replicas, server }: RoomOptions): ReadonlyArray<string> => {
  if (replicas.redisUrl === undefined) return []
  const { name } = ReplicaKnobs.knobs.redisUrl
  return [
    ...(file.databasePlace?._tag === "Postgres"
      ? []
      : [
          `${name} is set, but one server alone serves a file; ` +
            `unset it, or name a PostgreSQL database with ${DatabaseKnobs.fileKnobs.databasePlace.name}`
        ]),
    ...(server.masterSecret === undefined
      ? [
          `${name} is set, but ${ServerKnobs.knobs.masterSecret.name} is not: ` +
            "every server needs the same one, or it refuses the tokens of the others"
        ]
      : [])
  ]
}

/** What contradicts the database that is asked for. */
const databaseProblems = (values: RoomOptions): ReadonlyArray<string> => {
  const { backup, file } = values
  const { databasePlace, provider } = DatabaseKnobs.fileKnobs
  const isPostgres = file.databasePlace?._tag === "Postgres"
  const named = isPostgres ? "postgres" : "sqlite"
  const contradiction =
    file.provider === undefined || file.provider === named
      ? []
      : [
          `${provider.name} is ${file.provider}, but ${databasePlace.name} names ` +
            (isPostgres ? "PostgreSQL" : "no PostgreSQL")
        ]
  const others = [...contradiction, ...replicaProblems(values)]
  if (!isPostgres) return others
  return [
    ...others,
    ...(backup.intervalMillis > 0
      ? [
          `${BackupKnobs.knobs.intervalMillis.name} is set, ` +
            "but a PostgreSQL database is backed up with pg_dump; unset it"
        ]
      : [])
  ]
}

const invalid = (problems: ReadonlyArray<string>): ConfigInvalid =>
  new ConfigInvalid({
    problems: Arr.isNonEmptyReadonlyArray(problems) ? problems : ["the configuration cannot be read"]
  })

/**
 * Reads the configuration of an environment.
 *
 * **Errors**: `ConfigInvalid` with every problem found, each naming its
 * variable, the value and what is allowed.
 */
export const load = (environment: Environment): Effect.Effect<Loaded, ConfigInvalid> => loadAfter([], environment)

/**
 * The same with the arguments of `--set` and the configuration file, which are problems of one list with all others.
 */
export const loadAll = (environment: Environment, given: { readonly [name: string]: string }) =>
  Effect.gen(function* () {
    const sources = yield* readSources(environment, given)
    return yield* loadAfter(sources.problems, sources.environment)
  })

/** What is set, and where. */
export const readSources = (
  environment: Environment,
  given: { readonly [name: string]: string }
): Effect.Effect<ConfigSources.Sources> =>
  ConfigSources.read({
    environment,
    given,
    knobs: knobsOf(rooms),
    dataDirectory: ServerKnobs.knobs.dataDirectory
  })

const loadAfter = (before: ReadonlyArray<string>, environment: Environment): Effect.Effect<Loaded, ConfigInvalid> =>
  Effect.gen(function* () {
    const refusals = OtherNames.problemsOf(environment)
    const values = yield* Either.mapLeft(read(rooms, environment), (problems) =>
      invalid([...before, ...problems, ...refusals])
    )
    const realtime = RealtimeOptions.optionsOf(values.realtime, values.http)
    const tracing = TraceKnobs.optionsOf(values.tracing)
    const terms = shutdownTerms(values.server, values.presence, realtime, tracing.options !== undefined)
    const presence = PresenceKnobs.configOf(values.presence)
    const contradictions = Either.match(presence, { onLeft: (problems) => problems, onRight: () => [] })
    const directories = directoriesOf(environment, values)
    const homeless = Either.match(directories, { onLeft: (problem) => [problem], onRight: () => [] })
    const problems = [
      ...before,
      ...refusals,
      ...homeless,
      ...contradictions,
      ...shutdownProblems(terms),
      ...databaseProblems(values),
      ...OperatorKnobs.problemsOf(values.operator)
    ]
    if (Either.isLeft(presence) || Either.isLeft(directories) || problems.length > 0) return yield* invalid(problems)

    const { policy, warnings } = writerPolicyOf(values.writes)
    const postgres = postgresOf(values)
    const config: ServerConfig = {
      ...values.server,
      ...values.http,
      ...values.operator,
      ...values.signUp,
      ...values.replicas,
      ...directories.right,
      postgres,
      autoMigrate: values.file.autoMigrate,
      checkpointIntervalMillis: values.writes.checkpointIntervalMillis,
      journalSizeLimitBytes: values.writes.journalSizeLimitBytes,
      writerPolicy: policy,
      protection: DatabaseKnobs.protectionOf(values.protection),
      quota: QuotaKnobs.limitsOf(values.quota, { ...values.http, ...values.signUp }),
      presence: presence.right,
      rateLimits: { ...RateLimit.defaults, ...values.rateLimits },
      pairing: values.pairing,
      shutdownBudget: ShutdownBudget.make(terms),
      realtime,
      rpc: RpcOptions.optionsOf(values.rpc, values.http),
      changes: { ...ChangePruner.defaults, ...values.changes },
      tracing: tracing.options,
      backup: backupOf(values, directories.right.dataDirectory)
    }
    return {
      config,
      warnings: [...OtherNames.warningsOf(environment, knobsOf(rooms)), ...warnings, ...tracing.warnings]
    }
  })
