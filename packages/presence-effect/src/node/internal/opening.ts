/** How both connection layers open the file: defaults of the options, and trying again while it is busy. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { EngineFault } from "../../writer/SqliteConnection.ts"
import type { SqliteOptions } from "../SqliteOptions.ts"
import type { EngineOptions } from "./connectionState.ts"
import type { OpenFiles } from "./fileWatch.ts"
import * as OpenFailure from "./openFailure.ts"

export const openTimeoutDefault: Duration.DurationInput = "5 seconds"

export const engineOptions = (options: SqliteOptions, files?: OpenFiles): EngineOptions => ({
  filename: options.filename,
  ...(files === undefined ? {} : { files }),
  journalSizeLimitBytes: options.journalSizeLimitBytes ?? 64 * 1024 * 1024,
  freeReserveBytes: options.freeReserveBytes ?? 0,
  setup: options.setup ?? []
})

/**
 * Tries to open again while the file is busy: two connections that bring a new
 * file into WAL mode at once are in each other's way, and so is a backup.
 */
export const retryBusyOpen =
  (options: SqliteOptions) =>
  <A, R>(open: Effect.Effect<A, EngineFault, R>): Effect.Effect<A, EngineFault, R> => {
    const limit = Duration.decode(options.openTimeout ?? openTimeoutDefault)
    const retried = Effect.retry(open, {
      schedule: Schedule.intersect(Schedule.spaced("10 millis"), Schedule.recurUpTo(limit)),
      while: ({ reason }) => reason === "Busy"
    })
    return Effect.mapError(retried, (fault) =>
      fault.reason === "Busy"
        ? new EngineFault({ ...fault, ...OpenFailure.lockedFor(options.filename, Duration.format(limit), fault) })
        : fault
    )
  }
