/**
 * The backups that the server makes by itself, and the metrics of all backups.
 *
 * A backup is a process of its own, the command `backup`, so it uses neither the event loop nor the memory of the
 * server.
 */
import { Clock, Duration, Effect, Either, Layer, Metric, Schedule } from "effect"
import { spawn } from "node:child_process"
import * as BackupRecord from "../operator/BackupRecord.ts"
import * as BackupMetrics from "./BackupMetrics.ts"

export interface Options {
  readonly dataDirectory: string
  /** Zero: the server makes none. */
  readonly intervalMillis: number
  /** Makes one backup, or fails with the reason. The command `backup` of this program, unless given. */
  readonly make?: Effect.Effect<void, string>
}

/** Longest time of one backup. */
const limit = Duration.hours(6)

/** Time to the next attempt after one that failed, if the interval is not shorter. */
const retryMillis = Duration.toMillis("10 minutes")

/** Time between two looks at what became of backups, also of those that the operator made. */
const lookInterval = "30 seconds"

const errorBytesMax = 4096

/** Runs this program with other arguments. It ends when the effect is interrupted. */
const makeInProcess: Effect.Effect<void, string> = Effect.async<void, string>((resume) => {
  const [, main = ""] = process.argv
  const child = spawn(process.execPath, [...process.execArgv, main, "backup", "--json"], {
    stdio: ["ignore", "ignore", "pipe"]
  })
  let said = ""
  child.stderr.setEncoding("utf8")
  child.stderr.on("data", (text: string) => (said = (said + text).slice(-errorBytesMax)))
  child.once("error", (cause) => resume(Effect.fail(cause.message)))
  child.once("close", (code, signal) =>
    resume(code === 0 ? Effect.void : Effect.fail(said.trim() || `it ended with ${signal ?? `code ${code}`}`))
  )
  return Effect.sync(() => void child.kill("SIGTERM"))
})

const report = (dataDirectory: string) =>
  Effect.gen(function* () {
    const { failure, last } = yield* BackupRecord.read(dataDirectory)
    yield* Metric.set(BackupMetrics.lastSuccessSeconds, last === null ? 0 : last.atMillis / 1000)
    yield* Metric.set(BackupMetrics.failing, failure === null ? 0 : 1)
  })

/** When the next one is due: an interval after the last good one, and not at once after a failure. */
export const dueMillis = ({ failure, last }: BackupRecord.BackupRecord, intervalMillis: number): number =>
  Math.max(
    last === null ? 0 : last.atMillis + intervalMillis,
    failure === null ? 0 : failure.atMillis + Math.min(retryMillis, intervalMillis)
  )

const makeOne = (make: Effect.Effect<void, string>) =>
  Effect.gen(function* () {
    const outcome = yield* Effect.either(
      Effect.timeoutFail(make, { duration: limit, onTimeout: () => "it took longer than six hours" })
    )
    if (Either.isRight(outcome)) {
      yield* Effect.logInfo("A backup was made").pipe(Effect.annotateLogs("code", "BACKUP_MADE"))
    } else {
      yield* Effect.logError("No backup could be made").pipe(
        Effect.annotateLogs({ code: "BACKUP_FAILED", reason: outcome.left })
      )
    }
  })

/** Watches the record, and makes backups when an interval is given. */
export const layer = ({ dataDirectory, intervalMillis, make = makeInProcess }: Options): Layer.Layer<never> =>
  Layer.scopedDiscard(
    Effect.gen(function* () {
      yield* report(dataDirectory)
      /** Not sooner than so, also when the record cannot be written. */
      let notBefore = 0
      const look = Effect.gen(function* () {
        const record = yield* BackupRecord.read(dataDirectory)
        const now = yield* Clock.currentTimeMillis
        if (intervalMillis > 0 && now >= Math.max(notBefore, dueMillis(record, intervalMillis))) {
          yield* makeOne(make)
          notBefore = (yield* Clock.currentTimeMillis) + Math.min(retryMillis, intervalMillis)
        }
        yield* report(dataDirectory)
      })
      yield* Effect.forkScoped(Effect.schedule(look, Schedule.spaced(lookInterval)))
    })
  )
