import * as Effect from "effect/Effect"
import { withinFinalizer } from "../../internal/withinFinalizer.ts"
import type { LaneSemaphore } from "../LaneSemaphore.ts"
import type { ResolvedPolicy } from "../WriterPolicy.ts"
import type { Attempts } from "./attempts.ts"
import type { Deadlines } from "./deadlines.ts"
import type { WriterJournal } from "./writerJournal.ts"

interface Parts {
  readonly policy: ResolvedPolicy
  readonly lanes: Pick<LaneSemaphore, "awaitFree" | "close" | "oldestWaiter" | "waiterCount">
  readonly journal: WriterJournal
  readonly deadlines: Deadlines
  readonly attempts: Attempts
}

/** What a writer says of itself, and how it ends. */
export const make = ({ attempts, deadlines, journal, lanes, policy }: Parts) => {
  let state: "open" | "draining" | "closed" = "open"
  return {
    status: Effect.sync(() => ({
      state,
      holder: journal.holder(),
      lanes: policy.lanes.map(({ capacity, lane }) => {
        const enteredAt = lanes.oldestWaiter(lane)?.enteredAt
        const oldestWaitMillis = enteredAt === undefined ? 0 : Math.max(0, deadlines.now() - enteredAt)
        return { lane, waiterCount: lanes.waiterCount(lane), capacity, oldestWaitMillis }
      }),
      lastCommitMillis: journal.lastCommitMillis(),
      lastFailure: journal.lastFailure()
    })),
    /** Refuses new writes, lets those under way end within the longest hold, and then runs `last`. */
    close: (last: Effect.Effect<void> = Effect.void): Effect.Effect<void> =>
      Effect.gen(function* () {
        const longestHoldMillis = Math.max(...policy.lanes.map(({ holdLimitMillis }) => holdLimitMillis))
        state = "draining"
        yield* lanes.close
        yield* withinFinalizer(longestHoldMillis)(lanes.awaitFree)
        attempts.abandonRunning()
        yield* last
        state = "closed"
      })
  }
}
