/** Checks a file for damage before it is served. */
import { Effect, Schema } from "effect"
import * as FileSystem from "node:fs"
import { Worker } from "node:worker_threads"
import * as DatabaseFile from "../migration/DatabaseFile.ts"
import * as TableCheck from "./TableCheck.ts"

/** The file is damaged, or no database at all. It keeps its bytes. */
export class DatabaseDamaged extends Schema.TaggedError<DatabaseDamaged>("light-server/DatabaseDamaged")(
  "DatabaseDamaged",
  { filename: Schema.String, reason: Schema.String }
) {
  override get message(): string {
    return (
      `${this.filename} is damaged (${this.reason}); move it away together with its -wal and -shm, ` +
      "and put a backup in its place"
    )
  }
}

export interface Options {
  readonly filename: string
  /** After this time no further table is checked. 0: no table is checked. */
  readonly budgetMillis: number
  /** Files of this size, log included, and smaller ones are checked without a thread. 1 MiB unless given. */
  readonly inPlaceBytes?: number
  /** Sees the thread as it starts, for tests. */
  readonly onSpawn?: (thread: Worker) => void
}

const waitLimitMillis = 5000

/** Such a file is checked in a few milliseconds. Starting a thread takes 35 to 50 ms. */
const inPlaceBytesDefault = 1024 * 1024

// Node 20 runs no TypeScript in a thread: seen from the sources, the entry is the built one.
const entry = new URL(
  import.meta.url.endsWith(".ts") ? "../../dist/opening/startCheckThreadEntry.js" : "./startCheckThreadEntry.js",
  import.meta.url
)

const bytesOf = (filename: string): number =>
  [filename, `${filename}-wal`].reduce(
    (sum, file) => sum + (FileSystem.statSync(file, { throwIfNoEntry: false })?.size ?? 0),
    0
  )

const noVerdict = (reason: string): TableCheck.Verdict => ({ _tag: "Failed", code: "THREAD_LOST", reason })

/**
 * The check of a large table takes seconds, and nothing ends it early: signals and everything else that the event loop
 * does go on meanwhile. Interrupted, the thread ends after the table at hand; nothing waits for it.
 */
const inThread = (request: TableCheck.Request, onSpawn: Options["onSpawn"]): Effect.Effect<TableCheck.Verdict> =>
  Effect.async((resume) => {
    const end = (verdict: TableCheck.Verdict) => resume(Effect.succeed(verdict))
    try {
      const thread = new Worker(entry, { name: "start check", workerData: request })
      thread.once("message", end)
      thread.once("error", (error) => end(noVerdict(String(error))))
      thread.once("exit", (code) => end(noVerdict(`exit code ${code}`)))
      onSpawn?.(thread)
      return Effect.sync(() => void thread.terminate())
    } catch (cause) {
      end(noVerdict(String(cause)))
      return Effect.void
    }
  })

const logged = (text: string) => Effect.logInfo(text).pipe(Effect.annotateLogs("code", "START_CHECK"))

/** A thread that ends without an answer says nothing about the file, which others are about to open. */
const heed = (filename: string, verdict: TableCheck.Verdict): Effect.Effect<void, DatabaseDamaged> => {
  if (verdict._tag === "Damaged") return new DatabaseDamaged({ filename, reason: verdict.reason })
  if (verdict._tag === "Checked") {
    const { skippedCount, tableCount } = verdict
    return skippedCount === 0
      ? Effect.void
      : logged(`${skippedCount} of ${tableCount} tables were not checked for damage`)
  }
  if (verdict.code === "THREAD_LOST") return logged(`the tables were not checked for damage: ${verdict.reason}`)
  return DatabaseFile.attempt({ filename, waitLimitMillis }, () => {
    throw Object.assign(new Error(verdict.reason), { code: verdict.code })
  }).pipe(
    Effect.catchTags({
      DatabaseInvalid: ({ reason }) => new DatabaseDamaged({ filename, reason }),
      DatabaseUnreachable: () => Effect.void,
      DatabaseUnwritable: () => Effect.void,
      MigrationBusy: () => Effect.void
    })
  )
}

/** Waits for no lock, since the event loop would wait with it. */
const inPlace = (request: TableCheck.Request): TableCheck.Verdict => TableCheck.run({ ...request, waitLimitMillis: 0 })

const isBusy = (verdict: TableCheck.Verdict) => verdict._tag === "Failed" && verdict.code.startsWith("SQLITE_BUSY")

/**
 * Checks that the file is a database, and then its tables one after the other until the time is over. Skipped tables
 * are logged. A file that does not exist is fine. The file is only read, in a thread of its own unless it is small.
 *
 * Fails with `DatabaseDamaged`; any other fault of the file is reported when the file is opened for writing.
 */
export const run = ({
  budgetMillis,
  filename,
  inPlaceBytes = inPlaceBytesDefault,
  onSpawn
}: Options): Effect.Effect<void, DatabaseDamaged> =>
  Effect.gen(function* () {
    if (!FileSystem.existsSync(filename)) return
    const request = { budgetMillis, filename, waitLimitMillis }
    const first = bytesOf(filename) <= inPlaceBytes ? inPlace(request) : undefined
    yield* heed(filename, first === undefined || isBusy(first) ? yield* inThread(request, onSpawn) : first)
  })
