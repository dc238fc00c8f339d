/** What the running server knows about itself, in one answer. Asks memory and the file system, never the tables. */
import { Clock, Context, Effect, Layer, Option } from "effect"
import { Presence } from "../entities/Presence.ts"
import { DatabaseState } from "../database/DatabaseState.ts"
import { Writer } from "presence-effect/writer/Writer"
import { Readiness } from "../health/Readiness.ts"
import { HttpListener } from "../http/HttpListener.ts"
import { LogThreshold } from "../log/LogThreshold.ts"
import * as BackupRecord from "../operator/BackupRecord.ts"
import { SocketServer } from "../realtime/SocketServer.ts"
import { version } from "../Version.ts"
import type * as AdminProtocol from "./AdminProtocol.ts"

export class ServerStatus extends Context.Tag("light-server/ServerStatus")<
  ServerStatus,
  { readonly read: Effect.Effect<AdminProtocol.Status> }
>() {}

export interface Options {
  readonly dataDirectory: string
  readonly publicUrl: string | undefined
}

const countSockets = ({ io }: SocketServer["Type"]): AdminProtocol.Status["sockets"] => {
  const counts = { apps: 0, machines: 0, sessions: 0 }
  for (const { data } of io.of("/").sockets.values()) {
    if (data.verdict?._tag !== "Accepted") continue
    const kind = data.verdict.scope._tag
    counts[kind === "User" ? "apps" : kind === "Machine" ? "machines" : "sessions"] += 1
  }
  return counts
}

const storageOf = (database: DatabaseState["Type"]) =>
  Effect.gen(function* () {
    const { databaseBytes, logBytes } = yield* database.sizes
    return {
      databaseBytes: databaseBytes ?? null,
      logBytes: logBytes ?? null,
      reusableBytes: (yield* database.reusableBytes) ?? null,
      diskFreeBytes: (yield* database.diskFreeBytes) ?? null
    }
  })

const writerOf = ({ status }: Writer["Type"]) =>
  Effect.map(status, ({ holder, lanes, lastCommitMillis, lastFailure, state }): AdminProtocol.Status["writer"] => ({
    state,
    holder: holder ?? null,
    lanes: lanes.map(({ capacity, lane, waiterCount }) => ({ lane, waiting: waiterCount, capacity })),
    lastCommitAt: lastCommitMillis ?? null,
    lastFailure: lastFailure ?? null
  }))

const presenceOf = ({ status }: Presence["Type"]) =>
  Effect.map(status, (now): AdminProtocol.Status["presence"] => ({
    tracked: now.trackedCount,
    pending: now.pendingCount,
    parked: now.parkedCount,
    oldestPendingAt: now.oldestPendingMillis ?? null,
    lastFlushAt: now.lastFlushMillis ?? null,
    failedFlushes: now.consecutiveFlushFailures
  }))

export const make = ({ dataDirectory, publicUrl }: Options) =>
  Effect.gen(function* () {
    const database = yield* DatabaseState
    const writer = yield* Writer
    const presence = yield* Presence
    const readiness = yield* Readiness
    const listener = yield* HttpListener
    const sockets = yield* SocketServer
    const threshold = yield* Effect.serviceOption(LogThreshold)
    const startedAt = yield* Clock.currentTimeMillis
    return ServerStatus.of({
      read: Effect.gen(function* () {
        const { checks, isReady } = yield* readiness.report
        return {
          version,
          pid: process.pid,
          startedAt,
          url: listener.url,
          publicUrl: publicUrl ?? null,
          dataDirectory,
          databaseFile: database.place,
          logLevel: Option.isSome(threshold) ? yield* threshold.value.get : null,
          isReady,
          checks: checks.map(({ since, ...check }) => ({ ...check, since: new Date(since).toISOString() })),
          writer: yield* writerOf(writer),
          presence: yield* presenceOf(presence),
          sockets: countSockets(sockets),
          storage: yield* storageOf(database),
          backup: yield* BackupRecord.look(dataDirectory)
        }
      })
    })
  })

export const layer = (
  options: Options
): Layer.Layer<ServerStatus, never, DatabaseState | Writer | Presence | Readiness | HttpListener | SocketServer> =>
  Layer.effect(ServerStatus, make(options))
