/** Where the runs stand, on the terminal only: what is piped elsewhere gets no bar. */
import { SingleBar } from "cli-progress"
import { Effect, type Scope } from "effect"
import type { Progress } from "./Lab.ts"

const shown = 1_000

export const make: Effect.Effect<(progress: Progress) => void, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => {
      const bar = new SingleBar({
        format: "{bar} {percentage} %  {label}",
        stream: process.stderr,
        hideCursor: true,
        clearOnComplete: true,
        noTTYOutput: false,
        gracefulExit: false
      })
      bar.start(shown, 0, { label: "starting" })
      return bar
    }),
    (bar) => Effect.sync(() => bar.stop())
  ),
  (bar) =>
    ({ label, share }) =>
      bar.update(Math.round(share * shown), { label })
)
