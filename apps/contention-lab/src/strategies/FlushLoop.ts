/**
 * The tick of those that are not this project: takes the rows that changed and hands them over, whether or not the tick
 * before has ended. A row that was not written is changed again by its next sign of life.
 */
import { Duration, Effect, type Scope } from "effect"
import type { PresenceKey } from "../PresenceKey.ts"
import type { Engine } from "../engines/Engine.ts"
import type { Run } from "../Run.ts"
import type { DirtyRow } from "../Statements.ts"
import type { Strategy } from "./Strategy.ts"

/** Writes the rows of one tick and returns how many of them were written. */
export type Flush = (rows: ReadonlyArray<DirtyRow>) => Effect.Effect<number>

const makeBeat = (run: Run, flush: Flush): Effect.Effect<Strategy["beat"], never, Scope.Scope> =>
  Effect.gen(function* () {
    const dirty = new Map<string, DirtyRow>()
    const tick = Effect.suspend(() => {
      if (dirty.size === 0) return Effect.void
      const rows = [...dirty.values()]
      dirty.clear()
      const end = run.meter.flushStarted(rows.length, run.elapsedMillis())
      const flushing = Effect.map(flush(rows), (writtenCount) => end(writtenCount, run.elapsedMillis()))
      return Effect.asVoid(Effect.forkScoped(flushing))
    })
    yield* Effect.forkScoped(Effect.forever(Effect.delay(tick, Duration.millis(run.scenario.flushIntervalMillis))))
    return (key: PresenceKey, seenAtMillis: number) => void dirty.set(key.id, { key, seenAtMillis })
  })

export const make = (run: Run, engine: Engine, flush: Flush): Effect.Effect<Strategy, never, Scope.Scope> =>
  Effect.map(makeBeat(run, flush), (beat): Strategy => ({
    beat,
    write: (_lane, statements) => engine.transaction(statements)
  }))
