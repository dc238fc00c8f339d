/** A thread that checks one file for damage and ends. */
import { parentPort, workerData } from "node:worker_threads"
import * as TableCheck from "./TableCheck.ts"

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin, as a window has
parentPort?.postMessage(TableCheck.run(workerData as TableCheck.Request))
