/** The state of a database that is a file. */
import { Effect, Layer, Option } from "effect"
import fs from "node:fs/promises"
import path from "node:path"
import * as FileIdentity from "presence-effect/node/FileIdentity"
import { SqliteConnection } from "presence-effect/writer/SqliteConnection"
import { DatabaseState } from "./DatabaseState.ts"

const freeBytes = (file: string) =>
  Effect.tryPromise(() => fs.statfs(path.dirname(file))).pipe(
    Effect.map(({ bavail, bsize }): number | undefined => bavail * bsize),
    Effect.orElseSucceed(() => undefined)
  )

/** Finds the first of the two files that differs from the one at the start. */
const makeMoveFinder = (databaseFile: string) =>
  Effect.gen(function* () {
    const connection = yield* SqliteConnection
    // A failed check does not prove a replacement.
    const files = Effect.option(connection.identity)
    let first = yield* files
    return Effect.map(files, (now): string | undefined => {
      if (Option.isNone(now)) return undefined
      const path = Option.isSome(first) ? FileIdentity.moved(databaseFile, first.value, now.value) : undefined
      // The log is created by the first connection that reads.
      if (Option.isNone(first) || (path === undefined && first.value.log === undefined)) first = now
      return path
    })
  })

export const layer = (databaseFile: string): Layer.Layer<DatabaseState, never, SqliteConnection> =>
  Layer.effect(
    DatabaseState,
    Effect.gen(function* () {
      const connection = yield* SqliteConnection
      return DatabaseState.of({
        place: databaseFile,
        untilStopped: connection.untilStopped,
        stop: connection.stop,
        findMoved: yield* makeMoveFinder(databaseFile),
        sizes: Effect.map(Effect.option(connection.identity), (found) => ({
          databaseBytes: Option.getOrUndefined(found)?.databaseBytes,
          logBytes: Option.getOrUndefined(found)?.logBytes
        })),
        // The thread of the engine may be at work: the answer does not wait for it.
        reusableBytes: Effect.option(Effect.timeout(connection.space, "500 millis")).pipe(
          Effect.map(Option.map(({ freePages, pageBytes }) => freePages * pageBytes)),
          Effect.map(Option.getOrUndefined)
        ),
        diskFreeBytes: freeBytes(databaseFile),
        problem: Effect.succeed(undefined)
      })
    })
  )
