/** Where the runs stand, on standard error: a bar on a terminal, a line now and then elsewhere. */
import { SingleBar } from "cli-progress"
import { Effect, type Scope } from "effect"
import type { Progress } from "./Lab.ts"

const shown = 1_000

/** A log or a pipe gets a line so often. */
const lineEveryMillis = 5_000

export const make: Effect.Effect<(progress: Progress) => void, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => {
      const bar = new SingleBar({
        format: process.stderr.isTTY ? "{bar} {percentage} %  {label}" : "{percentage} %  {label}",
        stream: process.stderr,
        // So that a label fits beside it on 80 columns.
        barsize: 24,
        hideCursor: true,
        clearOnComplete: true,
        noTTYOutput: true,
        notTTYSchedule: lineEveryMillis,
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
