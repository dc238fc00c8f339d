/**
 * A copy of a database as it is in one moment, taken beside a server that goes on.
 *
 * The copy is made over a read-only connection that holds one snapshot from the first page to the last. It takes no
 * lock that a writer waits for, and commits meanwhile neither restart it nor enter it. Until it is done, checkpoints
 * cannot empty the log.
 */
import type Sqlite from "better-sqlite3"
import { Effect } from "effect"
import fs from "node:fs"
import path from "node:path"
import { quoted } from "../adoption/SchemaShape.ts"
import * as DatabaseFile from "../migration/DatabaseFile.ts"

export interface Copied {
  readonly bytes: number
  /** Rows by table, of the snapshot. */
  readonly rowCounts: ReadonlyMap<string, number>
}

export interface Options {
  /** Told after each step: how much of the copy is done, from 0 to 1. */
  readonly onProgress?: (share: number) => void
  /** Bytes that stay free on the disk of the copy. */
  readonly reserveBytes: number
  /** Free bytes on the disk of a file. Asked of the system, unless given. */
  readonly freeBytes?: (file: string) => number
}

const waitLimitMillis = 5000

const pagesPerStep = 256

/** What is copied goes to the disk in portions: all at once at the end, it would delay the commits of the server. */
const pagesPerSync = 4096

const systemFreeBytes = (file: string): number => {
  const { bavail, bsize } = fs.statfsSync(path.dirname(file))
  return bavail * bsize
}

const tablesOf = (sqlite: Sqlite.Database): ReadonlyArray<string> =>
  sqlite
    .prepare<[], string>("SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY name")
    .pluck()
    .all()

/** Throws the driver's error. */
export const countRows = (sqlite: Sqlite.Database): ReadonlyMap<string, number> =>
  new Map(
    tablesOf(sqlite).map((table) => [
      table,
      sqlite
        .prepare<[], number>(`SELECT count(*) FROM ${quoted(table)}`)
        .pluck()
        .get() ?? 0
    ])
  )

const pragma = (sqlite: Sqlite.Database, name: string): number => Number(sqlite.pragma(name, { simple: true }))

const roomText = (needed: number, free: number, reserve: number) =>
  `it needs ${needed} bytes on its disk, of which ${reserve} stay free, and ${free} are free`

const copyPages = async (sqlite: Sqlite.Database, target: string, options: Options): Promise<void> => {
  const freeBytes = options.freeBytes ?? systemFreeBytes
  const pageBytes = pragma(sqlite, "page_size")
  const needed = pragma(sqlite, "page_count") * pageBytes + options.reserveBytes
  const free = freeBytes(target)
  if (free < needed) throw new Error(roomText(needed, free, options.reserveBytes))
  // Private from its first byte: SQLite creates for everybody to read, and accepts an empty file as the target.
  const descriptor = fs.openSync(target, "wx", 0o600)
  try {
    let synced = 0
    await sqlite.backup(target, {
      progress: ({ remainingPages, totalPages }) => {
        const done = totalPages - remainingPages
        options.onProgress?.(totalPages === 0 ? 1 : done / totalPages)
        if (done - synced >= pagesPerSync) {
          fs.fdatasyncSync(descriptor)
          synced = done
          const left = freeBytes(target)
          if (left < options.reserveBytes) throw new Error(roomText(needed, left, options.reserveBytes))
        }
        return pagesPerStep
      }
    })
  } finally {
    fs.closeSync(descriptor)
  }
}

/** One file without a log, whatever the journal mode of its source. */
const settle = (file: DatabaseFile.DatabaseFile) =>
  DatabaseFile.withConnection(file, "writable", (connection) =>
    DatabaseFile.attempt(connection, () => connection.sqlite.pragma("journal_mode = DELETE"))
  )

/**
 * Copies `source` to `target`, which does not exist yet. The copy is not synced to the disk.
 *
 * Fails with a text; then what is left of `target` has to be removed.
 */
export const make = (source: string, target: string, options: Options): Effect.Effect<Copied, string> =>
  DatabaseFile.withConnection({ filename: source, waitLimitMillis }, "readonly", ({ sqlite }) =>
    Effect.gen(function* () {
      const rowCounts = yield* Effect.try(() => {
        sqlite.exec("BEGIN")
        return countRows(sqlite)
      })
      yield* Effect.tryPromise(() => copyPages(sqlite, target, options))
      yield* settle({ filename: target, waitLimitMillis })
      return { bytes: fs.statSync(target).size, rowCounts }
    })
  ).pipe(
    Effect.mapError((failure) =>
      failure._tag === "UnknownException" ? DatabaseFile.reasonOf(failure.error) : failure.message
    )
  )
