/**
 * Syncs the log while it is small.
 *
 * A commit that must survive a power failure syncs all of the log that was not
 * synced before it, also what other lanes committed without. A tick of 10 000 rows
 * leaves 40 MB: a registration behind it waited 40 ms for the disk. So what was
 * committed without a sync is synced in the background, about every megabyte, by a
 * thread that holds neither the permit nor a lock.
 *
 * The result does not matter. A log that cannot be synced is found out by the next
 * commit that has to: the system tells each open file about it.
 */
import * as fs from "node:fs"
import type { WriteAnswer } from "../../writer/SqliteConnection.ts"
import type { Durability } from "../../writer/Durability.ts"

/** What may be left for a durable commit: a sync of as much takes about a millisecond. */
const unsyncedBytesMax = 1024 * 1024

/** Each changed row is in another page, if rows are scattered over the file. */
const bytesPerChange = 4096

/** Syncs a file, and calls back whatever comes of it. */
export type Sync = (filename: string, done: () => void) => void

/** By the threads of the runtime for files. */
export const syncFile: Sync = (filename, done) => {
  // Opened each time: a log is removed together with the last connection to its database. To write, since some systems
  // sync no other file. It has no locks that closing could break.
  fs.open(filename, "r+", (failure, file) => {
    if (failure !== null) return done()
    fs.fdatasync(file, () => fs.close(file, done))
  })
}

const changesOf = (answers: ReadonlyArray<WriteAnswer>): number => {
  let changes = 0
  for (const answer of answers) {
    if (answer._tag === "Done") for (const result of answer.results) changes += result.changes
  }
  return changes
}

export interface LogSync {
  /** A group was committed. */
  readonly committed: (answers: ReadonlyArray<WriteAnswer>, durability: Durability) => void
}

export const make = (filename: string, sync: Sync = syncFile): LogSync => {
  let unsyncedBytes = 0
  let isSyncing = false
  const syncIfMany = (): void => {
    if (isSyncing || unsyncedBytes < unsyncedBytesMax) return
    isSyncing = true
    unsyncedBytes = 0
    sync(`${filename}-wal`, () => {
      isSyncing = false
      syncIfMany()
    })
  }
  return {
    committed: (answers, durability) => {
      if (durability === "power-loss") unsyncedBytes = 0
      else unsyncedBytes += changesOf(answers) * bytesPerChange
      syncIfMany()
    }
  }
}
