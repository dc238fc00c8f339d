/**
 * Whether the server can do its work, asked by whoever sends it traffic.
 *
 * The answer comes from memory: it is there while another process holds the
 * database, while the disk is slow, and while the disk is full. A read of the
 * database would be no evidence, since reads go on when writes fail.
 *
 * @since 0.1.0
 */
import { Clock, Context, Deferred, Duration, Effect, Layer, Metric, Option, Schedule, Schema } from "effect"
import fs from "node:fs/promises"
import path from "node:path"
import * as Lane from "presence-effect/Lane"
import { Presence } from "presence-effect/Presence"
import { SqliteConnection } from "presence-effect/SqliteConnection"
import { SqliteWriter } from "presence-effect/SqliteWriter"
import * as Write from "presence-effect/Write"
import { DatabaseReader } from "../database/DatabaseReader.ts"
import { HttpApp } from "../http/HttpApp.ts"
import { type Check, judge } from "./ReadinessCheck.ts"
import * as ServerMetrics from "./ServerMetrics.ts"

/**
 * A check with the time since which it says what it says.
 *
 * @category models
 * @since 0.1.0
 */
export interface TimedCheck extends Check {
  /** Epoch ms of the last change. */
  readonly since: number
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Report {
  readonly isReady: boolean
  readonly checks: ReadonlyArray<TimedCheck>
}

/**
 * The database file was replaced or deleted under the running server. Writing
 * on would succeed and be lost, so the process ends and is started again.
 *
 * @category errors
 * @since 0.1.0
 */
export class DatabaseReplaced extends Schema.TaggedError<DatabaseReplaced>("light-server/DatabaseReplaced")(
  "DatabaseReplaced",
  { path: Schema.String }
) {
  /** @since 0.1.0 */
  override get message(): string {
    return `${this.path} was moved, deleted or replaced while the server ran`
  }
}

/**
 * @category services
 * @since 0.1.0
 */
export class Readiness extends Context.Tag("light-server/Readiness")<
  Readiness,
  {
    readonly report: Effect.Effect<Report>
    /** Never ends, unless the file of the database becomes another one. */
    readonly untilReplaced: Effect.Effect<never, DatabaseReplaced>
  }
>() {}

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly databaseFile: string
  readonly flushInterval: Duration.DurationInput
  /** Time between two looks at the disk and the file, and the shortest time between two heartbeats. */
  readonly tick?: Duration.DurationInput
  /** Room left on the disk, `undefined` when nobody knows. Asked of the system, unless given. */
  readonly diskFreeBytes?: Effect.Effect<number | undefined>
}

const beatRow =
  "INSERT INTO ServerHeartbeat (id, beatAt) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET beatAt = excluded.beatAt"

/** Takes and gives back the write lock. Commits nothing, so a full disk goes unseen. */
const lockProbe = "UPDATE Account SET seq = seq WHERE id = ''"

/**
 * A commit when nothing else commits, so that silence of the users is no
 * silence of the disk. It goes to the table made for it, where there is one.
 */
const makeHeartbeat = (idleMillis: number) =>
  Effect.gen(function* () {
    const reader = yield* DatabaseReader
    const writer = yield* SqliteWriter
    const table = yield* reader
      .first(
        Schema.Struct({ name: Schema.String }),
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'ServerHeartbeat'"
      )
      .pipe(Effect.orElseSucceed(() => Option.none()))
    return Effect.gen(function* () {
      const { lastCommitMillis, lastFailure } = yield* writer.status
      const now = yield* Clock.currentTimeMillis
      if (lastFailure === undefined && lastCommitMillis !== undefined && now - lastCommitMillis < idleMillis) return
      const write = Option.isSome(table) ? Write.statement(beatRow, [now]) : Write.statement(lockProbe)
      // Its failure is what `lastFailure` of the writer is about to tell.
      yield* Effect.ignore(writer.write(Lane.maintenance, write))
    })
  })

const freeBytes = (file: string) =>
  Effect.tryPromise(() => fs.statfs(path.dirname(file))).pipe(
    Effect.map(({ bavail, bsize }): number | undefined => bavail * bsize),
    Effect.orElseSucceed(() => undefined)
  )

const make = (options: Options) =>
  Effect.gen(function* () {
    const writer = yield* SqliteWriter
    const presence = yield* Presence
    const connection = yield* SqliteConnection
    const http = yield* HttpApp
    const flushIntervalMillis = Duration.toMillis(options.flushInterval)
    const replaced = yield* Deferred.make<never, DatabaseReplaced>()
    const identity = Effect.match(connection.identity, {
      // Not to be able to look is no proof of a replacement.
      onFailure: () => undefined,
      onSuccess: ({ database }) => ({ database })
    })
    const first = (yield* identity)?.database
    let now = first
    let diskFreeBytes: number | undefined
    const since = new Map<string, TimedCheck>()

    const report = Effect.gen(function* () {
      const nowMillis = yield* Clock.currentTimeMillis
      const checks = judge({
        nowMillis,
        writer: yield* writer.status,
        policy: writer.policy,
        presence: yield* presence.status,
        flushIntervalMillis,
        identity: { first, now },
        diskFreeBytes,
        isDraining: http.isDraining()
      }).map((check): TimedCheck => {
        const before = since.get(check.name)
        const timed = { ...check, since: before?.code === check.code ? before.since : nowMillis }
        since.set(check.name, timed)
        return timed
      })
      return { isReady: checks.every(({ ok }) => ok), checks }
    })

    const look = Effect.gen(function* () {
      const seen = yield* identity
      if (seen !== undefined) now = seen.database
      if (first !== undefined && now !== first) {
        yield* Deferred.fail(replaced, new DatabaseReplaced({ path: options.databaseFile }))
      }
      diskFreeBytes = yield* options.diskFreeBytes ?? freeBytes(options.databaseFile)
      if (diskFreeBytes !== undefined) yield* Metric.set(ServerMetrics.diskFreeBytes, diskFreeBytes)
      const { isReady, checks } = yield* report
      yield* Metric.set(ServerMetrics.ready, isReady ? 1 : 0)
      return checks
        .filter(({ ok }) => !ok)
        .map(({ code }) => code)
        .join(" ")
    })

    let lastCodes = ""
    const tell = (codes: string) =>
      codes === lastCodes
        ? Effect.void
        : Effect.suspend(() => {
            lastCodes = codes
            return codes === ""
              ? Effect.logInfo("The server is ready").pipe(Effect.annotateLogs("code", "READY"))
              : Effect.logWarning(`The server is not ready: ${codes}`).pipe(Effect.annotateLogs("code", "NOT_READY"))
          })

    const tick = Duration.toMillis(options.tick ?? "2 seconds")
    const heartbeat = yield* makeHeartbeat(flushIntervalMillis)
    // Two fibers: a heartbeat that waits for the writer must not keep the look from seeing that it waits.
    yield* Effect.forkScoped(Effect.schedule(Effect.flatMap(look, tell), Schedule.spaced(tick)))
    yield* Effect.forkScoped(Effect.schedule(heartbeat, Schedule.spaced(tick)))
    return Readiness.of({ report, untilReplaced: Deferred.await(replaced) })
  })

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: Options
): Layer.Layer<Readiness, never, SqliteWriter | Presence | SqliteConnection | DatabaseReader | HttpApp> =>
  Layer.scoped(Readiness, make(options))
