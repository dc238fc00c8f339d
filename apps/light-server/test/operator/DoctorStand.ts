/** What the checks of the doctor look at: a sound installation, which each test damages. */
import { Effect, TestClock } from "effect"
import fs from "node:fs"
import path from "node:path"
import * as TemporaryDirectory from "proving/drivers/TemporaryDirectory"
import * as MigrationFolder from "../../src/migration/MigrationFolder.ts"
import type { DoctorOptions } from "../../src/operator/DoctorOptions.ts"
import type * as Finding from "../../src/operator/Finding.ts"
import * as FileDatabase from "../support/FileDatabase.ts"

/** A server of one person, as it is when nothing is set. */
export const optionsFor = (databaseFile: string, backupDirectory: string): DoctorOptions => ({
  dataDirectory: path.dirname(databaseFile),
  databaseFile,
  migrationsDir: MigrationFolder.bundledDir,
  backupDirectory,
  backupIntervalMillis: 0,
  hasOwnSecret: false,
  reserveBytes: 1000,
  logLimitBytes: 67_108_864,
  host: "127.0.0.1",
  publicUrl: undefined,
  corsOrigins: [],
  trustedProxies: [],
  server: undefined,
  freeBytes: () => 1e12,
  patienceMillis: 200
})

export const make = Effect.gen(function* () {
  const database = yield* FileDatabase.FileDatabase
  const options = optionsFor(database.filename, path.join(yield* TemporaryDirectory.make, "backups"))
  const secret = path.join(options.dataDirectory, "handy-master-secret.txt")
  fs.writeFileSync(secret, "a secret of these tests\n", { mode: 0o600 })
  // No row is in the future of a clock that begins in 1970.
  yield* TestClock.setTime(Date.now())
  return { ...database, options }
})

export const levels = (findings: ReadonlyArray<Finding.Finding>) =>
  Object.fromEntries(findings.map(({ code, level }) => [code, level]))

/** The finding with the code. */
export const of = (findings: ReadonlyArray<Finding.Finding>, code: string): Finding.Finding => {
  const found = findings.find((finding) => finding.code === code)
  if (found === undefined) throw new Error(`no finding ${code}`)
  return found
}
