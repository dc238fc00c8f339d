/** The files of backups: their names, which are the oldest, and what an attempt that was killed has left. */
import fs from "node:fs"
import path from "node:path"

const suffix = ".sqlite"

/** Ends the name of a backup that is being made. */
const partialSuffix = ".partial"

const stemOf = (databaseFile: string) => `${path.basename(databaseFile, path.extname(databaseFile))}-backup-`

/** `happier-server-light-backup-20261127T101500000Z.sqlite`. The stamp is UTC, so that names sort by time. */
export const nameOf = (databaseFile: string, atMillis: number): string =>
  `${stemOf(databaseFile)}${new Date(atMillis).toISOString().replace(/[-:.]/g, "")}${suffix}`

/** The master secret of a backup lies beside it. */
export const secretOf = (backup: string): string => `${backup.slice(0, -suffix.length)}.secret`

export const partialOf = (file: string): string => `${file}${partialSuffix}`

const namesIn = (directory: string): ReadonlyArray<string> =>
  fs.existsSync(directory) ? fs.readdirSync(directory) : []

/** Backups of the database in the directory, the newest first. Throws the system's error. */
export const list = (directory: string, databaseFile: string): ReadonlyArray<string> => {
  const stem = stemOf(databaseFile)
  return namesIn(directory)
    .filter((name) => name.startsWith(stem) && /^\d{8}T\d{9}Z\.sqlite$/.test(name.slice(stem.length)))
    .toSorted()
    .toReversed()
    .map((name) => path.join(directory, name))
}

/** What attempts that were killed have left. */
export const listPartial = (directory: string, databaseFile: string): ReadonlyArray<string> => {
  const stem = stemOf(databaseFile)
  return namesIn(directory)
    .filter((name) => name.startsWith(stem) && /\.partial(-journal|-wal|-shm)?$/.test(name))
    .map((name) => path.join(directory, name))
}

/** Removes it. Only for the one that makes a backup now. */
export const removePartial = (directory: string, databaseFile: string): void => {
  for (const file of listPartial(directory, databaseFile)) fs.rmSync(file)
}

/** Removes all but the newest `keep`, and answers with their names. */
export const rotate = (directory: string, databaseFile: string, keep: number): ReadonlyArray<string> => {
  const old = list(directory, databaseFile).slice(keep)
  for (const file of old) {
    fs.rmSync(file)
    fs.rmSync(secretOf(file), { force: true })
  }
  return old
}

/** Copies that migrations made of the file from before, and how many of them stay. Those of an adoption all stay. */
const migrationCopiesKept = 2

/** Removes migration copies that newer ones and a backup have made needless. */
export const pruneMigrationCopies = (databaseFile: string): ReadonlyArray<string> => {
  const directory = path.dirname(databaseFile)
  const stem = `${path.basename(databaseFile)}.before-`
  const stampOf = (name: string) => /-(\d{8}T\d{9}Z)\.bak$/.exec(name)?.[1] ?? ""
  const copies = namesIn(directory)
    .filter((name) => name.startsWith(stem) && /^\d{14}_/.test(name.slice(stem.length)) && stampOf(name) !== "")
    .toSorted((a, b) => (stampOf(a) < stampOf(b) ? 1 : -1))
    .slice(migrationCopiesKept)
    .map((name) => path.join(directory, name))
  for (const file of copies) fs.rmSync(file)
  return copies
}
