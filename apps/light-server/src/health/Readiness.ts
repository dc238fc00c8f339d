/**
 * Whether the server can do its work, asked by load balancers and supervisors.
 *
 * The answer comes from memory: it is available while another process locks the
 * database, while the disk is slow, and while the disk is full. A read of the
 * database would prove nothing, since reads go on when writes fail.
 */
import { Clock, Context, Deferred, Duration, Effect, Layer, Metric, Schedule, Schema } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { Presence } from "../entities/Presence.ts"
import * as SqliteFault from "presence-effect/sqlite/SqliteFault"
import type { EngineFault } from "presence-effect/writer/Engine"
import { Writer } from "presence-effect/writer/Writer"
import * as Write from "presence-effect/writer/Write"
import * as Columns from "../database/Columns.ts"
import { DatabaseReader } from "../database/DatabaseReader.ts"
import { DatabaseState, type Problem } from "../database/DatabaseState.ts"
import { HttpApp } from "../http/HttpApp.ts"
import { Replicas } from "../replicas/ReplicaBus.ts"
import { type Check, judge } from "./ReadinessCheck.ts"
import * as ServerMetrics from "./ServerMetrics.ts"

/** A check, and the time since which its result is unchanged. */
export interface TimedCheck extends Check {
  /** Epoch ms of the last change. */
  readonly since: number
}

export interface Report {
  readonly isReady: boolean
  readonly checks: ReadonlyArray<TimedCheck>
}

/**
 * The database file was replaced or deleted under the running server. Further
 * writes would succeed and be lost, so the process ends and is started again.
 */
export class DatabaseReplaced extends Schema.TaggedError<DatabaseReplaced>("light-server/DatabaseReplaced")(
  "DatabaseReplaced",
  { path: Schema.String }
) {
  override get message(): string {
    return `${this.path} was moved, deleted or replaced while the server ran`
  }
}

/**
 * The writing connection was given up: the disk failed twice in a row, or the
 * thread died too often. A new process may recover.
 */
export class DatabaseGivenUp extends Schema.TaggedError<DatabaseGivenUp>("light-server/DatabaseGivenUp")(
  "DatabaseGivenUp",
  { path: Schema.String, code: Schema.String, detail: Schema.String }
) {
  override get message(): string {
    return `${this.path} cannot be written any more (${this.code}): ${this.detail}`
  }
}

export class Readiness extends Context.Tag("light-server/Readiness")<
  Readiness,
  {
    readonly report: Effect.Effect<Report>
    /** Never ends, unless nothing can be written any more and only a new process can help. */
    readonly untilUnusable: Effect.Effect<never, DatabaseReplaced | DatabaseGivenUp>
  }
>() {}

export interface Options {
  readonly flushInterval: Duration.DurationInput
  /** Space on the disk that must stay free. */
  readonly diskReserveBytes: number
  /** Time between two checks of the disk and the file, and the shortest time between two heartbeats. */
  readonly tick?: Duration.DurationInput
  /** Free space on the disk, `undefined` when unknown. Read from the system unless given. */
  readonly diskFreeBytes?: Effect.Effect<number | undefined>
}

const beatRow = `INSERT INTO "ServerHeartbeat" ("id", "beatAt") VALUES (1, ?)
  ON CONFLICT ("id") DO UPDATE SET "beatAt" = excluded."beatAt"`

/** Takes and releases the write lock. Commits nothing, so it does not detect a full disk. */
const lockProbe = `UPDATE "Account" SET "seq" = "seq" WHERE "id" = ''`

/**
 * A commit when nothing else commits, so that disk faults are detected while no
 * client writes. It goes to the table made for it, if it exists.
 */
const makeHeartbeat = (idleMillis: number) =>
  Effect.gen(function* () {
    const reader = yield* DatabaseReader
    const writer = yield* Writer
    const hasTable = yield* Effect.orElseSucceed(
      Effect.provideService(Columns.has("ServerHeartbeat", "beatAt"), DatabaseReader, reader),
      () => false
    )
    return Effect.gen(function* () {
      const { lastCommitMillis, lastFailure } = yield* writer.status
      const now = yield* Clock.currentTimeMillis
      if (lastFailure === undefined && lastCommitMillis !== undefined && now - lastCommitMillis < idleMillis) return
      const write = hasTable ? Write.statement(beatRow, [now]) : Write.statement(lockProbe)
      // Its failure is recorded in `lastFailure` of the writer.
      yield* Effect.ignore(writer.write(Lane.maintenance, write))
    })
  })

const make = (options: Options) =>
  Effect.gen(function* () {
    const writer = yield* Writer
    const presence = yield* Presence
    const database = yield* DatabaseState
    const reader = yield* DatabaseReader
    const http = yield* HttpApp
    const replicas = yield* Replicas
    const flushIntervalMillis = Duration.toMillis(options.flushInterval)
    const unusable = yield* Deferred.make<never, DatabaseReplaced | DatabaseGivenUp>()
    let movedPath: string | undefined
    let stopped: EngineFault | undefined
    let diskFreeBytes: number | undefined
    let reusableBytes = 0
    let problem: Problem | undefined
    const since = new Map<string, TimedCheck>()

    const report = Effect.gen(function* () {
      const nowMillis = yield* Clock.currentTimeMillis
      const checks = judge({
        nowMillis,
        writer: yield* writer.status,
        policy: writer.policy,
        presence: yield* presence.status,
        flushIntervalMillis,
        movedPath,
        stopped,
        problem,
        diskFreeBytes,
        diskReserveBytes: options.diskReserveBytes,
        reusableBytes,
        isDraining: http.isDraining(),
        replicas: replicas.isAlone ? undefined : { problem: replicas.problem() }
      }).map((check): TimedCheck => {
        const before = since.get(check.name)
        const timed = { ...check, since: before?.code === check.code ? before.since : nowMillis }
        since.set(check.name, timed)
        return timed
      })
      return { isReady: checks.every(({ ok }) => ok), checks }
    })

    const replaced = (path: string) =>
      Effect.whenEffect(
        // The engine checks after each commit and before it answers.
        Effect.logError(`${path} was deleted or replaced; what was confirmed until now went into the file before`).pipe(
          Effect.annotateLogs("code", "DATABASE_MOVED")
        ),
        Deferred.fail(unusable, new DatabaseReplaced({ path }))
      )

    /** Reported at once, not with the next check. */
    const watchStop = Effect.catchAll(database.untilStopped, (fault) =>
      Effect.gen(function* () {
        stopped = fault
        const { code, detail } = fault
        const path = database.place
        if (fault.reason === "Moved") {
          movedPath ??= (yield* database.findMoved) ?? path
          yield* replaced(movedPath)
        } else if (fault.reason === "Corrupt") {
          yield* Effect.logError(
            `${path} is damaged (${detail}); nothing is written any more: end the server and restore a backup`
          ).pipe(Effect.annotateLogs("code", "DATABASE_CORRUPT"))
        } else {
          yield* Deferred.fail(unusable, new DatabaseGivenUp({ path, code, detail }))
        }
      })
    )

    /** A file that a read found damaged is not written to either. */
    const watchReads = Effect.catchAll(reader.untilDamaged, ({ code, detail }) =>
      database.stop(SqliteFault.make({ code, detail, phase: "queued" }))
    )

    const publishHolding = Effect.gen(function* () {
      const { holder } = yield* writer.status
      const nowMillis = yield* Clock.currentTimeMillis
      const heldMillis = holder === undefined ? 0 : Math.max(0, nowMillis - holder.sinceMillis)
      yield* Metric.set(ServerMetrics.writerHoldingSeconds, heldMillis / 1000)
    })

    const look = Effect.gen(function* () {
      movedPath ??= yield* database.findMoved
      if (movedPath !== undefined) yield* replaced(movedPath)
      yield* publishHolding
      diskFreeBytes = yield* options.diskFreeBytes ?? database.diskFreeBytes
      if (diskFreeBytes !== undefined && diskFreeBytes < options.diskReserveBytes) {
        reusableBytes = (yield* database.reusableBytes) ?? 0
      }
      problem = yield* database.problem
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
    // Two fibers: a heartbeat that waits for the writer must not keep the check from noticing that it waits.
    yield* Effect.forkScoped(Effect.schedule(Effect.flatMap(look, tell), Schedule.spaced(tick)))
    yield* Effect.forkScoped(Effect.schedule(heartbeat, Schedule.spaced(tick)))
    yield* Effect.forkScoped(watchStop)
    yield* Effect.forkScoped(watchReads)
    return Readiness.of({ report, untilUnusable: Deferred.await(unusable) })
  })

export const layer = (
  options: Options
): Layer.Layer<Readiness, never, Writer | Presence | DatabaseState | DatabaseReader | HttpApp> =>
  Layer.scoped(Readiness, make(options))
