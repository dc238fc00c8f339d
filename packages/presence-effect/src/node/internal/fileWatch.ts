/**
 * Whether the files that are open are still those under the path.
 *
 * SQLite in WAL mode goes on writing into files that were deleted or replaced, and reports success.
 */
import * as fs from "node:fs"
import type { Fault, FileIdentity } from "../../writer/SqliteConnection.ts"

/** Device and inode of each file. A log that does not exist yet is `undefined`. */
export type OpenFiles = Pick<FileIdentity, "database" | "log">

/** Tells a file from another one that took its path. Of bigints: an inode may be larger than a number holds exactly. */
export const identityOfStats = ({ dev, ino }: Pick<fs.BigIntStats, "dev" | "ino">): string => `${dev}:${ino}`

const identityOf = (path: string): string | undefined => {
  const stats = fs.statSync(path, { bigint: true, throwIfNoEntry: false })
  return stats === undefined ? undefined : identityOfStats(stats)
}

export const read = (filename: string): OpenFiles => ({
  database: identityOf(filename),
  log: identityOf(`${filename}-wal`)
})

/** The path where `now` another file is than the one expected, as far as both are known. */
export const movedPath = (filename: string, expected: OpenFiles, now: OpenFiles): string | undefined => {
  if (now.database !== expected.database) return filename
  return expected.log === undefined || now.log === expected.log ? undefined : `${filename}-wal`
}

/** The fault of a write into files that are not the expected ones. */
export const compare = (filename: string, expected: OpenFiles, now: OpenFiles): Fault | undefined => {
  const path = movedPath(filename, expected, now)
  if (path === undefined) return undefined
  return { reason: "Moved", code: "MOVED", detail: `${path} was deleted or replaced`, phase: "queued", isFinal: true }
}

export interface FileWatch {
  readonly files: () => OpenFiles
  /** The fault of a further write, if the files have changed. About 4 µs. */
  readonly look: () => Fault | undefined
}

/** Watches the files of `known`, or those that are there now. */
export const make = (filename: string, known: OpenFiles | undefined): FileWatch => {
  let files = known ?? read(filename)
  return {
    files: () => files,
    look: () => {
      let now: OpenFiles
      try {
        now = read(filename)
      } catch {
        // A failed check proves nothing.
        return undefined
      }
      const fault = compare(filename, files, now)
      // The log is made by the first connection that reads.
      if (fault === undefined) files = now
      return fault
    }
  }
}
