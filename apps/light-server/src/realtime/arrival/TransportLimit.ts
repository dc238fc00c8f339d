/**
 * Frames that are larger than the limit. Their connection is closed, and the
 * reason is logged.
 */
import { Effect, FiberSet, type Scope } from "effect"
import type { IncomingMessage } from "node:http"
import { countRefusal } from "../RealtimeMetrics.ts"
import type { Io } from "../Socket.ts"

/** The engine's description of a websocket whose frame was too large. Its text is that of the package `ws`. */
const isTooLarge = (reason: string, description: unknown): boolean =>
  reason === "transport error" &&
  description instanceof Error &&
  description.message.includes("Max payload size exceeded")

/** Counts and logs every connection that ends because of one frame beyond `bytesMax`. */
export const watch = (io: Io, bytesMax: number): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const run = yield* FiberSet.makeRuntime<never>()
    const note = () => {
      countRefusal("too-large")
      run(
        Effect.logWarning(`A socket sent a frame of more than ${bytesMax} bytes, and its transport was closed`).pipe(
          Effect.annotateLogs("code", "FRAME_TOO_LARGE")
        )
      )
    }
    io.engine.on("connection", (connection: Parameters<Io["engine"]["emit"]>[1]) => {
      connection.once("close", (reason: string, description: unknown) => {
        if (isTooLarge(reason, description)) note()
      })
    })
    // A client that polls is answered with 413 by the engine.
    io.engine.use((request: IncomingMessage, _: unknown, next: () => void) => {
      if (request.method === "POST" && Number(request.headers["content-length"]) > bytesMax) note()
      next()
    })
  })
