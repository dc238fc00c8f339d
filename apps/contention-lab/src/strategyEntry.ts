/** The process of one strategy. It lives as long as the lab that started it, and ends when that is gone. */
import { Cause, Deferred, Effect } from "effect"
import type { FromStrategy, ToStrategy } from "./strategyProtocol.ts"
import * as RealRun from "./RealRun.ts"

// A Ctrl-C reaches the whole group of processes. The lab hears it too, and ends this one when it is time.
process.on("SIGINT", () => undefined)
process.on("disconnect", () => process.exit(1))

const tell = (message: FromStrategy) => Effect.sync(() => process.send?.(message))

const go = Effect.runSync(Deferred.make<void>())

const play = ({ scenario, target }: Extract<ToStrategy, { _tag: "Prepare" }>) =>
  Effect.gen(function* () {
    const replay = yield* RealRun.prepare(scenario, target)
    yield* tell({ _tag: "Ready" })
    yield* Deferred.await(go)
    yield* tell({ _tag: "Done", figures: yield* replay })
  }).pipe(
    Effect.scoped,
    Effect.catchAllCause((cause) => tell({ _tag: "Failed", detail: Cause.pretty(cause) }))
  )

process.on("message", (message: ToStrategy) => {
  if (message._tag === "Prepare") Effect.runFork(play(message))
  else Effect.runSync(Deferred.succeed(go, undefined))
})
