/** Gives free pages of the file back on request, without the thresholds of the compactor. */
import { Clock, Context, Duration, Effect, Layer } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { EngineFault } from "presence-effect/writer/Engine"
import { SqliteConnection } from "presence-effect/writer/SqliteConnection"
import { SqliteWriter } from "presence-effect/writer/SqliteWriter"
import type { WriterError } from "presence-effect/writer/WriterError"
import type * as AdminProtocol from "./AdminProtocol.ts"

export class SpaceRecovery extends Context.Tag("light-server/SpaceRecovery")<
  SpaceRecovery,
  {
    /** Takes free pages out of the file for up to a minute, in steps that let every other write go first. */
    readonly run: Effect.Effect<AdminProtocol.Compaction, WriterError | EngineFault>
  }
>() {}

const pagesPerStep = 64
const stepsPerCheckpoint = 64
const limitMillis = Duration.toMillis("1 minute")

/** Of a database server, which reuses its space by itself. */
export const none: Layer.Layer<SpaceRecovery> = Layer.succeed(SpaceRecovery, {
  run: Effect.fail(
    new EngineFault({
      reason: "Rejected",
      code: "NO_FILE",
      detail: "the database is not a file: PostgreSQL reuses space by itself, and VACUUM FULL gives it back",
      phase: "queued"
    })
  )
})

/** `isCheckpointed`: off where another tool makes the checkpoints. */
export const layer = (options: {
  readonly isCheckpointed: boolean
}): Layer.Layer<SpaceRecovery, never, SqliteConnection | SqliteWriter> =>
  Layer.effect(
    SpaceRecovery,
    Effect.gen(function* () {
      const connection = yield* SqliteConnection
      const writer = yield* SqliteWriter
      const copyLog = options.isCheckpointed
        ? Effect.zipRight(connection.copyLog, writer.checkpoint(Lane.maintenance, "passive"))
        : Effect.void
      return SpaceRecovery.of({
        run: Effect.gen(function* () {
          const startedAt = yield* Clock.currentTimeMillis
          let removedBytes = 0
          for (let step = 1; ; step++) {
            const { freePages, pageBytes, removedPages } = yield* writer.compact(Lane.maintenance, pagesPerStep)
            removedBytes += removedPages * pageBytes
            const isLate = (yield* Clock.currentTimeMillis) - startedAt >= limitMillis
            if (removedPages === 0 || freePages === 0 || isLate) break
            if (step % stepsPerCheckpoint === 0) yield* copyLog
            // The lane lets every other write go first, and the pause lets their commits share the disk.
            yield* Effect.sleep("10 millis")
          }
          yield* copyLog
          const { isShrinkable, pageBytes, pageCount } = yield* connection.space
          return { removedBytes, isShrinkable, databaseBytes: pageCount * pageBytes }
        })
      })
    })
  )
