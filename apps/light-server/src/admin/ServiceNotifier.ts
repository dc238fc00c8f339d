/**
 * Reports to the service manager that the server is ready, that it goes on, and that it ends.
 *
 * `systemd-notify` sends the messages: Node has no datagram sockets of this kind, and every machine with such a manager
 * has that program.
 */
import { Duration, Effect, Layer, Schedule } from "effect"
import { spawn } from "node:child_process"
import * as FinalizerLimit from "../FinalizerLimit.ts"
import { Readiness } from "../health/Readiness.ts"
import { HttpListener } from "../http/HttpListener.ts"

/** Sends one message. */
export type Send = (message: string) => Effect.Effect<void, string>

export interface Options {
  /** `NOTIFY_SOCKET` and `WATCHDOG_USEC`, as the service manager sets them. */
  readonly environment: { readonly [name: string]: string | undefined }
  /** Unless given, by `systemd-notify`. */
  readonly send?: Send
}

/** Longest wait for the manager to have read a message. */
const sendLimit = Duration.seconds(5)

const notify: Send = (message) =>
  Effect.async<void, string>((resume) => {
    const child = spawn("systemd-notify", ["--", message], { stdio: "ignore" })
    child.once("error", (cause) => resume(Effect.fail(cause.message)))
    child.once("close", (code) =>
      resume(code === 0 ? Effect.void : Effect.fail(`systemd-notify ended with code ${code}`))
    )
    return Effect.sync(() => void child.kill())
  }).pipe(Effect.timeoutFail({ duration: sendLimit, onTimeout: () => "the service manager does not answer" }))

/** A message that is lost is no fault of the server. */
const warned = (sent: Effect.Effect<void, string>) =>
  Effect.catchAll(sent, (reason) =>
    Effect.logWarning("The service manager could not be notified").pipe(
      Effect.annotateLogs({ code: "SERVICE_NOTIFY", reason })
    )
  )

/** Three messages per deadline, so that one may be late. Absent or zero: no watchdog. */
const feedMillisOf = (text: string | undefined): number | undefined => {
  const micros = Number(text)
  return Number.isSafeInteger(micros) && micros > 0 ? micros / 3000 : undefined
}

/**
 * Notifies while the scope is open, if there is a service manager.
 *
 * The watchdog is fed while the event loop runs and the writer makes progress. When something holds the writer for
 * longer than its lane may, the manager hears nothing more, and starts the server anew after its deadline.
 */
export const layer = ({ environment, send = notify }: Options): Layer.Layer<never, never, Readiness | HttpListener> =>
  Layer.scopedDiscard(
    Effect.gen(function* () {
      const readiness = yield* Readiness
      const { url } = yield* HttpListener
      if ((environment["NOTIFY_SOCKET"] ?? "") === "") return
      yield* warned(send(`READY=1\nSTATUS=serving at ${url}`))
      yield* Effect.addFinalizer(() =>
        warned(send("STOPPING=1")).pipe(FinalizerLimit.within("500 millis"), Effect.asVoid)
      )
      const feedMillis = feedMillisOf(environment["WATCHDOG_USEC"])
      if (feedMillis === undefined) return
      const feed = Effect.gen(function* () {
        const { checks } = yield* readiness.report
        const isStuck = checks.some(({ code }) => code === "WriterStuck")
        if (!isStuck) yield* warned(send("WATCHDOG=1"))
      })
      yield* Effect.forkScoped(Effect.schedule(feed, Schedule.spaced(feedMillis)))
    })
  )
