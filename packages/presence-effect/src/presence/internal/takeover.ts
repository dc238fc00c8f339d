/** What a replica does for the rows of those that are gone, and for its own after it lost its lease. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import { DatabaseName, labelled } from "../../writer/DatabaseName.ts"
import { countByKind } from "../FlushBatch.ts"
import * as PresenceMetrics from "../PresenceMetrics.ts"
import type { PresenceRegistry, Transition } from "../PresenceRegistry.ts"
import type { SharedStorage } from "../PresenceStorage.ts"

/** Rows of each kind that one transaction takes over. */
const chunkRows = 500

type Emit = (transitions: ReadonlyArray<Transition>) => Effect.Effect<void>

/** Takes over chunk by chunk until nothing is left. Answers how many rows the chunk had. */
const takeChunk = (registry: PresenceRegistry["Type"], { takeOver }: SharedStorage, emit: Emit, label: Label) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      // A committed transition is announced, also when the scope closes now.
      const changed = yield* restore(takeOver(chunkRows))
      const nowMillis = yield* Clock.currentTimeMillis
      const transitions: Array<Transition> = []
      for (const { key, lastSeenMillis } of changed) {
        // It came back here at the last moment: it is written again, and no transition is announced.
        if (registry.reactivate(key)) continue
        transitions.push({ key, lastSeenMillis: Math.min(lastSeenMillis, nowMillis), reason: "abandoned" })
      }
      for (const [kind, count] of countByKind(transitions.map(({ key }) => key))) {
        yield* Metric.incrementBy(label(PresenceMetrics.takeovers(kind)), count)
      }
      yield* emit(transitions)
      return changed.length
    })
  )

type Label = ReturnType<typeof labelled>

/** Starts the fiber in the scope. Never fails: what could not be taken over is found again by the next look. */
export const start = (
  registry: PresenceRegistry["Type"],
  shared: SharedStorage,
  emit: Emit
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const label = labelled(yield* DatabaseName)
    yield* shared.replica.onNewLease(() => registry.restamp())
    const takeAll = Effect.repeat(takeChunk(registry, shared, emit, label), {
      until: (count) => count < chunkRows
    }).pipe(
      Effect.catchAllCause((cause) =>
        Effect.logDebug("takeover put off", cause).pipe(Effect.annotateLogs("code", "TakeoverPutOff"))
      )
    )
    yield* Effect.forkScoped(Effect.forever(Effect.zipRight(Effect.sleep(shared.replica.beatIntervalMillis), takeAll)))
  })
