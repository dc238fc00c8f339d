/**
 * Entry of a thread that owns one connection, to write or to copy the log. Started by `SqliteThread` only.
 *
 * Speaks the protocol of the `Worker` of `@effect/platform` itself: each call is answered in the step in which it
 * comes, so there is nothing to run, to interrupt or to decode, and a thread starts without the modules for that. An
 * error ends the thread, and it is unknown how far the call came.
 */
import type { Worker } from "@effect/platform/Worker"
import { parentPort, workerData } from "node:worker_threads"
import { type Failed, failed, isCopier, type Reply, type Request } from "./sqliteThreadProtocol.ts"
import { lowerPriority } from "./threadPriority.ts"

/** From the event loop: a request, or the message that ends the thread. */
type Incoming = readonly [0, Worker.Request<Request>] | readonly [1]

/** To the event loop: the thread listens, or a response. */
type Outgoing = readonly [0] | readonly [1, Worker.Response<never, Reply>]

// The one that copies the log writes much, and no caller waits for it.
if (isCopier(workerData)) lowerPriority()

// Each thread loads what it needs and no more: the one that copies the log has no use for a SQL client.
const { open } = isCopier(workerData) ? await import("./logCopier.ts") : await import("./sqliteEngine.ts")

let engine: Exclude<ReturnType<typeof open>, Failed> | undefined

const answer = (request: Request): Reply => {
  if (request._tag === "Open") {
    const opened = open(request.options)
    if ("_tag" in opened) return opened
    engine = opened
    return { _tag: "Opened", files: engine.files() }
  }
  if (engine === undefined) {
    return failed({
      reason: "Rejected",
      code: "SQLITE_MISUSE",
      detail: "the connection is not open",
      phase: "queued"
    })
  }
  switch (request._tag) {
    case "Run":
      return engine.run(request.group, request.durability)
    case "Checkpoint":
      return engine.checkpoint(request.mode)
    case "Compact":
      return engine.compact(request.pageLimit)
  }
}

// A port of a thread: it has no origin.
// oxlint-disable-next-line unicorn/require-post-message-target-origin
const send = (message: Outgoing): void => parentPort?.postMessage(message)

parentPort?.on("message", (message: Incoming) => {
  if (message[0] === 1) {
    engine?.close()
    return parentPort?.close()
  }
  const [id, kind, request] = message[1]
  // A call cannot be interrupted: it is over before the next message is read.
  if (kind === 0) send([1, [id, 0, [answer(request)]]])
})
send([0])
