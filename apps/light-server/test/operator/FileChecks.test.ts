import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import fs from "node:fs"
import path from "node:path"
import * as FileChecks from "../../src/operator/FileChecks.ts"
import * as FileDatabase from "../support/FileDatabase.ts"
import * as DoctorStand from "./DoctorStand.ts"

const { levels, of } = DoctorStand

describe("FileChecks", () => {
  it.scoped("find nothing wrong with a sound data directory", () =>
    Effect.gen(function* () {
      const { options } = yield* DoctorStand.make
      assert.deepStrictEqual(levels(yield* FileChecks.run(options)), {
        D101: "ok",
        D102: "ok",
        D103: "ok",
        D104: "ok",
        D105: "ok"
      })
    }).pipe(Effect.provide(FileDatabase.layer))
  )

  it.scoped("find a directory that is missing, with what to do", () =>
    Effect.gen(function* () {
      const { options } = yield* DoctorStand.make
      const found = of(yield* FileChecks.run({ ...options, dataDirectory: `${options.dataDirectory}.gone` }), "D101")
      assert.strictEqual(found.level, "problem")
      assert.include(found.found, "does not exist")
      assert.include(found.fix, "start the server once")
    }).pipe(Effect.provide(FileDatabase.layer))
  )

  it.scoped("find modes that let others read, and correct them", () =>
    Effect.gen(function* () {
      const { options } = yield* DoctorStand.make
      const secret = path.join(options.dataDirectory, "handy-master-secret.txt")
      fs.chmodSync(secret, 0o644)
      fs.chmodSync(options.dataDirectory, 0o755)
      const found = of(yield* FileChecks.run(options), "D102")
      assert.strictEqual(found.level, "problem")
      assert.include(found.found, `${secret} has mode 0644`)
      assert.include(found.fix, `chmod 0700 ${options.dataDirectory}`)
      yield* found.repair ?? Effect.void
      assert.strictEqual(fs.statSync(secret).mode & 0o777, 0o600)
      assert.strictEqual(of(yield* FileChecks.run(options), "D102").level, "ok")
    }).pipe(Effect.provide(FileDatabase.layer))
  )

  it.scoped("find a secret that is missing or too short, unless the environment sets it", () =>
    Effect.gen(function* () {
      const { options } = yield* DoctorStand.make
      const secret = path.join(options.dataDirectory, "handy-master-secret.txt")
      fs.writeFileSync(secret, "short\n")
      assert.include(of(yield* FileChecks.run(options), "D103").found, "fewer than 16 characters")
      fs.rmSync(secret)
      assert.strictEqual(of(yield* FileChecks.run(options), "D103").level, "problem")
      assert.strictEqual(of(yield* FileChecks.run({ ...options, hasOwnSecret: true }), "D103").level, "ok")
    }).pipe(Effect.provide(FileDatabase.layer))
  )

  it.scoped("find a full disk, and one with too little room for a migration", () =>
    Effect.gen(function* () {
      const { options } = yield* DoctorStand.make
      const full = of(yield* FileChecks.run({ ...options, freeBytes: () => 999 }), "D104")
      assert.strictEqual(full.level, "problem")
      assert.include(full.cause, "writes are refused")
      assert.strictEqual(of(yield* FileChecks.run({ ...options, freeBytes: () => 2000 }), "D104").level, "warning")
      const unknown = { ...options, freeBytes: () => undefined }
      assert.strictEqual(of(yield* FileChecks.run(unknown), "D104").level, "skipped")
    }).pipe(Effect.provide(FileDatabase.layer))
  )

  it.scoped("find what a killed backup or restore left", () =>
    Effect.gen(function* () {
      const { options } = yield* DoctorStand.make
      fs.mkdirSync(options.backupDirectory)
      const partial = path.join(options.backupDirectory, "light-backup-20260101T000000000Z.sqlite.partial")
      fs.writeFileSync(partial, "half")
      fs.writeFileSync(`${options.databaseFile}.restoring.partial`, "half")
      const found = of(yield* FileChecks.run(options), "D105")
      assert.strictEqual(found.level, "warning")
      assert.strictEqual(found.found, `${partial}, ${options.databaseFile}.restoring.partial`)
    }).pipe(Effect.provide(FileDatabase.layer))
  )
})
