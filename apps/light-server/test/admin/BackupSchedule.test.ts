import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Metric, TestClock } from "effect"
import * as TemporaryDirectory from "proving/drivers/TemporaryDirectory"
import * as BackupMetrics from "../../src/admin/BackupMetrics.ts"
import * as BackupSchedule from "../../src/admin/BackupSchedule.ts"
import * as BackupRecord from "../../src/operator/BackupRecord.ts"
import * as Logging from "../../src/log/Logging.ts"

const minute = 60_000
const hour = 60 * minute

/** A schedule whose attempts succeed while `isSound`, with the hours at which it tried. */
const stand = (intervalMillis: number) =>
  Effect.gen(function* () {
    const dataDirectory = yield* TemporaryDirectory.make
    const attempts: Array<number> = []
    const codes: Array<unknown> = []
    const world = { isSound: true }
    const make = Effect.gen(function* () {
      const atMillis = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
      attempts.push(atMillis)
      if (!world.isSound) {
        yield* BackupRecord.failed(dataDirectory, { reason: "full", atMillis })
        return yield* Effect.fail("full")
      }
      yield* BackupRecord.succeeded(dataDirectory, { file: "f", atMillis, bytes: 1 })
    })
    const log = Logging.layer({ level: "info", write: (line) => codes.push(JSON.parse(line).code) })
    yield* Layer.build(Layer.provide(BackupSchedule.layer({ dataDirectory, intervalMillis, make }), log))
    return { attempts, codes, dataDirectory, world }
  })

describe("BackupSchedule", () => {
  it.scoped("makes a backup soon after the first start, and then one per interval", () =>
    Effect.gen(function* () {
      const { attempts, codes } = yield* stand(5 * minute)
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(attempts, 1)
      yield* TestClock.adjust("4 minutes")
      assert.lengthOf(attempts, 1)
      yield* TestClock.adjust("10 minutes")
      assert.lengthOf(attempts, 3)
      assert.deepStrictEqual([...new Set(codes)], ["BACKUP_MADE"])
    })
  )

  it.scoped("tries again ten minutes after a failure, and says so in the log and the metrics", () =>
    Effect.gen(function* () {
      const { attempts, codes, world } = yield* stand(hour)
      world.isSound = false
      yield* TestClock.adjust("11 minutes")
      assert.lengthOf(attempts, 2)
      assert.strictEqual(codes[0], "BACKUP_FAILED")
      assert.strictEqual((yield* Metric.value(BackupMetrics.failing)).value, 1)
      world.isSound = true
      yield* TestClock.adjust("10 minutes")
      assert.lengthOf(attempts, 3)
      assert.strictEqual((yield* Metric.value(BackupMetrics.failing)).value, 0)
      assert.isAbove((yield* Metric.value(BackupMetrics.lastSuccessSeconds)).value, 0)
    })
  )

  it.scoped("makes none unless it is asked to, and still measures those of the operator", () =>
    Effect.gen(function* () {
      const { attempts, dataDirectory } = yield* stand(0)
      yield* BackupRecord.succeeded(dataDirectory, { file: "f", atMillis: 7_000_000, bytes: 1 })
      yield* TestClock.adjust("10 minutes")
      assert.lengthOf(attempts, 0)
      assert.strictEqual((yield* Metric.value(BackupMetrics.lastSuccessSeconds)).value, 7000)
    })
  )

  it("waits an interval after the last good one, also over a restart", () => {
    const last = { file: "f", atMillis: 10 * hour, bytes: 1 }
    assert.strictEqual(BackupSchedule.dueMillis({ last, failure: null }, 24 * hour), 34 * hour)
    assert.strictEqual(BackupSchedule.dueMillis({ last: null, failure: null }, hour), 0)
    const failure = { reason: "full", atMillis: 40 * hour }
    assert.strictEqual(BackupSchedule.dueMillis({ last, failure }, 24 * hour), 40 * hour + 600_000)
  })
})
