/** Checks of the data directory: who may read it, and how much room there is. */
import { Effect } from "effect"
import fs from "node:fs"
import path from "node:path"
import { secretFile } from "../opening/DataDirectory.ts"
import * as BackupFolder from "./BackupFolder.ts"
import type { DoctorOptions } from "./DoctorOptions.ts"
import * as Finding from "./Finding.ts"
import { command } from "../Version.ts"

const directoryCheck = { code: "D101", name: "data directory" }
const modeCheck = { code: "D102", name: "modes" }
const secretCheck = { code: "D103", name: "secret" }
const diskCheck = { code: "D104", name: "disk" }
const remainsCheck = { code: "D105", name: "remains" }

const statOf = (file: string) => fs.statSync(file, { throwIfNoEntry: false })

const octal = (mode: number) => (mode & 0o777).toString(8).padStart(4, "0")

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`

const directory = ({ dataDirectory }: DoctorOptions): Finding.Finding => {
  if (statOf(dataDirectory) === undefined) {
    return Finding.problem(directoryCheck, {
      found: `${dataDirectory} does not exist`,
      cause: "there is no server on it yet, or the configuration names another directory than the server",
      fix: "start the server once, or run this command with the environment of the server"
    })
  }
  try {
    fs.accessSync(dataDirectory, fs.constants.R_OK | fs.constants.W_OK | fs.constants.X_OK)
  } catch {
    const { gid, uid } = fs.statSync(dataDirectory)
    return Finding.problem(directoryCheck, {
      found: `${dataDirectory} belongs to user ${uid}, group ${gid}, and this user may not write to it`,
      cause: "the server of this user cannot start on it",
      fix: `run as its owner, or give it to the user of the server: chown -R <user> ${dataDirectory}`
    })
  }
  return Finding.ok(directoryCheck, dataDirectory)
}

/** Files that only the user of the server may read, with the modes they have to have. */
const privateFiles = ({ databaseFile, dataDirectory }: DoctorOptions): ReadonlyArray<readonly [string, number]> => [
  [dataDirectory, 0o700],
  ...[databaseFile, `${databaseFile}-wal`, `${databaseFile}-shm`, path.join(dataDirectory, secretFile)].map(
    (file) => [file, 0o600] as const
  )
]

const modes = (options: DoctorOptions): Finding.Finding => {
  if (process.platform === "win32") return Finding.skipped(modeCheck, "files have no modes on this system")
  const loose = privateFiles(options).filter(([file]) => ((statOf(file)?.mode ?? 0) & 0o077) !== 0)
  if (loose.length === 0) return Finding.ok(modeCheck, "only the owner may read the files")
  return Finding.problem(modeCheck, {
    found: loose.map(([file]) => `${file} has mode ${octal(statOf(file)?.mode ?? 0)}`).join(", "),
    cause: "other users of this machine can read tokens or the database",
    fix: loose.map(([file, mode]) => `chmod ${octal(mode)} ${file}`).join("; "),
    repair: () => {
      for (const [file, mode] of loose) fs.chmodSync(file, mode)
    }
  })
}

const secret = ({ dataDirectory, hasOwnSecret }: DoctorOptions): Finding.Finding => {
  if (hasOwnSecret) return Finding.ok(secretCheck, "set by HANDY_MASTER_SECRET")
  const file = path.join(dataDirectory, secretFile)
  const missing = (found: string) =>
    Finding.problem(secretCheck, {
      found,
      cause: "the tokens of all clients are derived from it; without it every client has to log in again",
      fix: `restore ${file} from a backup (\`${command} restore\` does), or let the next start make a new one`
    })
  try {
    const { length } = fs.readFileSync(file, "utf8").trim()
    return length < 16 ? missing(`${file} has fewer than 16 characters`) : Finding.ok(secretCheck, file)
  } catch (cause) {
    return missing(`${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
}

const freeBytesOf = (directory: string): number | undefined => {
  try {
    const { bavail, bsize } = fs.statfsSync(directory)
    return bavail * bsize
  } catch {
    return undefined
  }
}

const disk = (options: DoctorOptions): Finding.Finding => {
  const free = (options.freeBytes ?? freeBytesOf)(path.dirname(options.databaseFile))
  if (free === undefined) return Finding.skipped(diskCheck, "the free space is unknown")
  const size = statOf(options.databaseFile)?.size ?? 0
  if (free < options.reserveBytes) {
    return Finding.problem(diskCheck, {
      found: `${megabytes(free)} are free, less than the reserve of ${megabytes(options.reserveBytes)}`,
      cause: "writes are refused, except for deletes and ends",
      fix: `make room on the disk, or delete sessions; \`${command} compact\` gives the space of deleted rows back`
    })
  }
  if (free < options.reserveBytes + size) {
    return Finding.warning(diskCheck, {
      found: `${megabytes(free)} are free, and the database has ${megabytes(size)}`,
      cause: "a migration or a backup on the same disk needs as much space as the database",
      fix: "make room on the disk, or move the data directory to a larger one"
    })
  }
  return Finding.ok(diskCheck, `${megabytes(free)} are free`)
}

/** What a backup or a restore that was killed has left. */
const remains = ({ backupDirectory, databaseFile }: DoctorOptions): Finding.Finding => {
  const restoring = `${databaseFile}.restoring.partial`
  const left = [
    ...BackupFolder.listPartial(backupDirectory, databaseFile),
    ...(fs.existsSync(restoring) ? [restoring] : [])
  ]
  if (left.length === 0) return Finding.ok(remainsCheck, "nothing unfinished lies around")
  return Finding.warning(remainsCheck, {
    found: left.join(", "),
    cause: "a backup or a restore is running right now, or was killed",
    fix: "the next backup removes them; while none runs they can be deleted"
  })
}

export const run = (options: DoctorOptions): Effect.Effect<ReadonlyArray<Finding.Finding>> =>
  Effect.sync(() => [directory(options), modes(options), secret(options), disk(options), remains(options)])
