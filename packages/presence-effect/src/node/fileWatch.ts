/**
 * Whether the files that are open are still those under the path.
 *
 * SQLite in WAL mode goes on writing into files that were deleted or replaced, and reports success.
 */
import * as fs from "node:fs"
import type { Fault } from "./engineFault.ts"

/** Device and inode of each file. A log that nobody has made yet is `undefined`. */
export interface OpenFiles {
  readonly database: string | undefined
  readonly log: string | undefined
}

const identityOf = (path: string): string | undefined => {
  // An inode may be larger than a number holds exactly.
  const stats = fs.statSync(path, { bigint: true, throwIfNoEntry: false })
  return stats === undefined ? undefined : `${stats.dev}:${stats.ino}`
}

export const read = (filename: string): OpenFiles => ({
  database: identityOf(filename),
  log: identityOf(`${filename}-wal`)
})

/** Whether `now` is what is expected, as far as both are known; else the fault. */
export const compare = (filename: string, expected: OpenFiles, now: OpenFiles): Fault | undefined => {
  if (now.database !== expected.database) return moved(filename)
  return expected.log === undefined || now.log === expected.log ? undefined : moved(`${filename}-wal`)
}

const moved = (path: string): Fault => ({
  code: "MOVED",
  detail: `${path} was deleted or replaced`,
  phase: "queued",
  isFinal: true
})

export interface FileWatch {
  readonly files: () => OpenFiles
  /** The fault that whoever writes on would run into. About 4 µs. */
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
        // Not to be able to look is no proof.
        return undefined
      }
      const fault = compare(filename, files, now)
      // The log is made by the first connection that reads.
      if (fault === undefined) files = now
      return fault
    }
  }
}
