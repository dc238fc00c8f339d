/** A thread of Node that reads one database file. */
import { Worker } from "node:worker_threads"
import type { ReaderThread, Spawn, ThreadEvents } from "./ReadPool.ts"
import type { Answered } from "./ReadRequest.ts"

// Node 20 runs no TypeScript in a thread: when the sources run, the entry is the built one.
const entry = new URL(
  import.meta.url.endsWith(".ts") ? "../../dist/database/readerThreadEntry.js" : "./readerThreadEntry.js",
  import.meta.url
)

export interface Options {
  readonly filename: string
  /** Receives each thread as it starts, for tests that end it. */
  readonly onSpawn?: (thread: Worker) => void
}

/** The thread opens the file with its first read. */
export const spawn =
  ({ filename, onSpawn }: Options): Spawn =>
  ({ answered, ended }: ThreadEvents): ReaderThread => {
    const thread = new Worker(entry, { name: "reader", workerData: { filename } })
    let reason: string | undefined
    thread.on("message", (message: Answered) => answered(message))
    thread.once("error", (error) => (reason = String(error)))
    thread.once("exit", (code) => ended(reason ?? `exit code ${code}`))
    onSpawn?.(thread)
    return {
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin, as a window has
      send: (asked) => thread.postMessage(asked),
      // A thread inside a statement ends after it; its answer is then ignored.
      end: () => void thread.terminate()
    }
  }
