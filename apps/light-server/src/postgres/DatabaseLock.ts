/**
 * Who may serve a PostgreSQL database: one server alone, or several that tell each other what happens.
 *
 * The lock is an advisory lock of a connection of its own, exclusive for a server that is alone and shared for the
 * others. PostgreSQL releases it when the connection ends, however the process ends.
 */
import { Context, type Duration, Effect, Exit, Layer, Option, Ref, Schedule, Scope } from "effect"
import { InstanceLock, InstanceRunning } from "../opening/InstanceLock.ts"
import type { PostgresAddress } from "../PostgresAddress.ts"
import { Runner, type SoleRunner } from "../replicas/SoleRunner.ts"
import { type PostgresFailure, PostgresUnreachable } from "./PostgresFailure.ts"
import * as PostgresSession from "./PostgresSession.ts"

/** Any numbers, the same for all servers: they name the locks, together with the schema, or with it and the work. */
const lockSpace = 7_041_102
const workSpace = 7_041_103

/** A process of PostgreSQL: a number alone may be given to another one later. */
const backend = `activity.pid::text || ' ' || activity.backend_start::text`

const tryLock = (isShared: boolean) =>
  `SELECT pg_try_advisory_lock${isShared ? "_shared" : ""}(${lockSpace}, hashtext(current_schema())) AS "isHeld",
    (SELECT ${backend} FROM pg_stat_activity AS activity WHERE activity.pid = pg_backend_pid()) AS "backend"`

/** The session of the holder, as far as this user may see it. */
const selectHolder = `SELECT coalesce(host(activity.client_addr), 'this host') AS "address", ${backend} AS "backend",
    to_char(activity.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS "since"
  FROM pg_locks AS held JOIN pg_stat_activity AS activity ON activity.pid = held.pid
  WHERE held.locktype = 'advisory' AND held.classid = ${lockSpace}
    AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND held.objid = (hashtext(current_schema())::bigint & 4294967295)::oid AND held.granted
  LIMIT 1`

const terminate = `SELECT pg_terminate_backend(activity.pid) FROM pg_stat_activity AS activity WHERE ${backend} = $1`

interface HolderRow {
  readonly address: string
  readonly backend: string | null
  readonly since: string | null
  readonly [column: string]: unknown
}

export interface Options {
  readonly address: PostgresAddress
  /** Whether this server tells the other ones what happens. */
  readonly isShared: boolean
  /** Time between two checks that the connection with the lock still lives. */
  readonly watchInterval?: Duration.DurationInput
}

const describe = (holder: HolderRow | undefined): string =>
  holder === undefined
    ? "another server"
    : `a server on ${holder.address}${holder.since === null ? "" : `, connected since ${holder.since}`}`

const advice = "set REDIS_URL for every server of the database, or run one server only"

interface Locked {
  readonly session: PostgresSession.PostgresSession
  /** The process of PostgreSQL that holds the lock. */
  readonly backend: string | undefined
}

/**
 * Opens a connection and takes the lock with it. `former`: the process that held it for this server. Where the network
 * has dropped a connection, PostgreSQL may not notice that for hours, so that process is ended here.
 */
const take = ({ address, isShared }: Options, former: string | undefined) =>
  Effect.gen(function* () {
    const session = yield* PostgresSession.open(address)
    const [row] = yield* session.query<{ readonly isHeld: boolean; readonly backend: string | null }>(tryLock(isShared))
    if (row?.isHeld === true) return { session, backend: row.backend ?? undefined }
    const [holder] = yield* session.query<HolderRow>(selectHolder)
    if (former !== undefined && holder?.backend === former) {
      yield* session.query(terminate, [former])
      const reason = "an earlier connection of this server still held its lock, and was ended"
      return yield* new PostgresUnreachable({ place: address.place, code: "LOST", reason })
    }
    return yield* new InstanceRunning({ filename: address.place, holder: describe(holder), advice })
  })

interface Held extends Locked {
  readonly scope: Scope.CloseableScope
}

const workLock = `${workSpace}, hashtext(current_schema() || '.' || $1)`

/**
 * Work that one server does at a time. Its lock is one of the same connection, so it ends with the process. While
 * PostgreSQL is away nobody works: the work needs it anyway.
 */
const runnerOf = (held: Ref.Ref<Held>): SoleRunner => ({
  attempt: (work, effect) =>
    Effect.gen(function* () {
      const { session } = yield* Ref.get(held)
      const locked = session.query<{ readonly isHeld: boolean }>(
        `SELECT pg_try_advisory_lock(${workLock}) AS "isHeld"`,
        [work]
      )
      const unlock = Effect.ignore(session.query(`SELECT pg_advisory_unlock(${workLock})`, [work]))
      return yield* Effect.acquireUseRelease(
        Effect.orElseSucceed(locked, () => []),
        ([row]) => (row?.isHeld === true ? Effect.map(effect, Option.some) : Effect.succeed(Option.none())),
        ([row]) => (row?.isHeld === true ? unlock : Effect.void)
      )
    })
})

/** The lock, and what the connection that holds it is good for. */
export interface DatabaseLock extends Context.Tag.Service<typeof InstanceLock> {
  readonly runner: SoleRunner
}

/** A connection that answers nothing for so long is given up. */
const answerTimeout = "10 seconds"

/** Between two attempts to take the lock again. */
const retakePause = "500 millis"

/** Ends once the connection with the lock is lost. */
const untilLost = ({ session }: Held, watchInterval: Duration.DurationInput) =>
  Effect.gen(function* () {
    const isLost = yield* Effect.raceFirst(
      Effect.as(session.ended, true),
      Effect.as(Effect.sleep(watchInterval), false)
    )
    if (isLost) return true
    return yield* session
      .query("SELECT 1")
      .pipe(Effect.timeout(answerTimeout), Effect.match({ onSuccess: () => false, onFailure: () => true }))
  }).pipe(Effect.repeat({ until: (isLost) => isLost }))

/**
 * Takes the lock until the scope closes. When the connection that holds it is lost, as with a restart of PostgreSQL,
 * the lock is taken again at once, unless another server was faster. The connection is checked every `watchInterval`.
 *
 * Fails with `InstanceRunning`, which names the holder, and as a connection fails.
 */
export const hold = (options: Options): Effect.Effect<DatabaseLock, InstanceRunning | PostgresFailure, Scope.Scope> =>
  Effect.gen(function* () {
    const { watchInterval = "5 seconds" } = options
    const taken = (former: string | undefined) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const locked = yield* Scope.extend(take(options, former), scope).pipe(
          Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
        )
        return { scope, ...locked }
      }).pipe(Effect.uninterruptible)
    const held = yield* Effect.acquireRelease(
      Effect.flatMap(taken(undefined), (first) => Ref.make<Held>(first)),
      (ref) => Effect.flatMap(Ref.get(ref), ({ scope }) => Scope.close(scope, Exit.void))
    )
    const retake = Effect.gen(function* () {
      const { backend, scope } = yield* Ref.get(held)
      yield* Scope.close(scope, Exit.void)
      yield* Ref.set(held, yield* taken(backend))
      yield* Effect.logWarning("the connection that kept other servers out was lost; another one does so now").pipe(
        Effect.annotateLogs("code", "DATABASE_LOCK_RETAKEN")
      )
    }).pipe(
      // While PostgreSQL is away nobody can take the lock.
      Effect.retry({ while: ({ _tag }) => _tag !== "InstanceRunning", schedule: Schedule.spaced(retakePause) }),
      Effect.catchIf(
        (failure) => failure._tag !== "InstanceRunning",
        () => Effect.void
      )
    )
    const watch = Effect.flatMap(Ref.get(held), (now) => Effect.zipRight(untilLost(now, watchInterval), retake))
    return { runner: runnerOf(held), untilTaken: Effect.forever(watch) }
  })

export const layer = (options: Options): Layer.Layer<InstanceLock, InstanceRunning | PostgresFailure> =>
  Layer.scopedContext(
    Effect.map(hold(options), (lock) => Context.make(InstanceLock, lock).pipe(Context.add(Runner, lock.runner)))
  )
