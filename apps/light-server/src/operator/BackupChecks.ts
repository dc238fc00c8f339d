/** Checks whether there is something to restore. */
import { Clock, Effect } from "effect"
import fs from "node:fs"
import path from "node:path"
import * as BackupRecord from "./BackupRecord.ts"
import type { DoctorOptions } from "./DoctorOptions.ts"
import * as Finding from "./Finding.ts"
import { command } from "../Version.ts"

const ageCheck = { code: "D401", name: "backup" }
const placeCheck = { code: "D402", name: "place of backups" }

const day = 86_400_000

/** Older than that is too old where the operator makes backups by hand. */
const ageMax = 7 * day

const age = (
  options: DoctorOptions,
  { failure, isGone, last }: BackupRecord.BackupState,
  now: number
): Finding.Finding => {
  const fix = `run \`${command} backup\`, and set HAPPIER_BACKUP_INTERVAL_MS=86400000 for one every day`
  const cause = "what was written since is lost with the disk"
  if (failure !== null) {
    return Finding.problem(ageCheck, { found: `the last attempt failed: ${failure.reason}`, cause, fix })
  }
  if (last === null) return Finding.warning(ageCheck, { found: "there is no backup", cause, fix })
  if (isGone) {
    return Finding.problem(ageCheck, { found: `${last.file}, the last backup, is gone`, cause, fix })
  }
  const limit = options.backupIntervalMillis === 0 ? ageMax : 2 * options.backupIntervalMillis
  const days = ((now - last.atMillis) / day).toFixed(1)
  return now - last.atMillis > limit
    ? Finding.warning(ageCheck, { found: `the last backup is ${days} days old`, cause, fix })
    : Finding.ok(ageCheck, `${last.file} is ${days} days old`)
}

const deviceOf = (directory: string): number | undefined => fs.statSync(directory, { throwIfNoEntry: false })?.dev

const place = ({ databaseFile }: DoctorOptions, { last }: BackupRecord.BackupRecord): Finding.Finding => {
  if (last === null) return Finding.skipped(placeCheck, "there is no backup")
  const directory = path.dirname(last.file)
  return deviceOf(directory) === deviceOf(path.dirname(databaseFile))
    ? Finding.warning(placeCheck, {
        found: `${directory} is on the disk of the database`,
        cause: "both are lost with that disk",
        fix: "set HAPPIER_BACKUP_DIR to another disk, or copy the backups to another machine"
      })
    : Finding.ok(placeCheck, directory)
}

export const run = (options: DoctorOptions): Effect.Effect<ReadonlyArray<Finding.Finding>> =>
  Effect.gen(function* () {
    const record = yield* BackupRecord.look(options.dataDirectory)
    return [age(options, record, yield* Clock.currentTimeMillis), place(options, record)]
  })
