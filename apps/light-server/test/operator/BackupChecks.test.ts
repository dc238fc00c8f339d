import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import fs from "node:fs"
import path from "node:path"
import * as BackupChecks from "../../src/operator/BackupChecks.ts"
import * as BackupRecord from "../../src/operator/BackupRecord.ts"
import * as FileDatabase from "../support/FileDatabase.ts"
import * as DoctorStand from "./DoctorStand.ts"

const { of } = DoctorStand

const day = 86_400_000

const stand = Effect.gen(function* () {
  const { options } = yield* DoctorStand.make
  const file = path.join(options.dataDirectory, "backup.sqlite")
  fs.writeFileSync(file, "")
  const made = (daysAgo: number) =>
    BackupRecord.succeeded(options.dataDirectory, { file, atMillis: Date.now() - daysAgo * day, bytes: 1 })
  const age = (intervalMillis = 0) =>
    Effect.map(BackupChecks.run({ ...options, backupIntervalMillis: intervalMillis }), (found) => of(found, "D401"))
  return { options, file, made, age }
})

describe("BackupChecks", () => {
  it.scoped("find that there is no backup, or that it is too old for how often they are made", () =>
    Effect.gen(function* () {
      const { age, made } = yield* stand
      assert.strictEqual((yield* age()).level, "warning")
      yield* made(3)
      assert.strictEqual((yield* age()).level, "ok")
      assert.include((yield* age(day)).found, "3.0 days old")
      assert.strictEqual((yield* age(day)).level, "warning")
      yield* made(8)
      assert.strictEqual((yield* age()).level, "warning")
    }).pipe(Effect.provide(FileDatabase.layer))
  )

  it.scoped("find an attempt that failed, and a backup that is gone", () =>
    Effect.gen(function* () {
      const { age, file, made, options } = yield* stand
      yield* made(0)
      yield* BackupRecord.failed(options.dataDirectory, { reason: "the disk is full", atMillis: Date.now() })
      assert.strictEqual((yield* age()).level, "problem")
      assert.include((yield* age()).found, "the disk is full")
      yield* made(0)
      fs.rmSync(file)
      assert.include((yield* age()).found, "is gone")
    }).pipe(Effect.provide(FileDatabase.layer))
  )

  it.scoped("find backups on the disk of the database", () =>
    Effect.gen(function* () {
      const { made, options } = yield* stand
      yield* made(0)
      const found = of(yield* BackupChecks.run(options), "D402")
      assert.strictEqual(found.level, "warning")
      assert.include(found.fix, "HAPPIER_BACKUP_DIR")
      if (fs.existsSync("/dev/shm")) {
        const elsewhere = { file: "/dev/shm/backup.sqlite", atMillis: 1, bytes: 1 }
        yield* BackupRecord.succeeded(options.dataDirectory, elsewhere)
        assert.strictEqual(of(yield* BackupChecks.run(options), "D402").level, "ok")
      }
    }).pipe(Effect.provide(FileDatabase.layer))
  )
})
