/**
 * Plays a workload to a strategy, on the clock it is given.
 *
 * No arrival waits for the answer to an earlier one. The load lasts until every machine that arrived in the measured
 * time has an answer, or has waited longer than a daemon would.
 */
import { Clock, Effect, Scope, Exit } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import type { Run } from "./Run.ts"
import * as Scenario from "./Scenario.ts"
import * as Statements from "./Statements.ts"
import type { Stopwatch } from "./Stopwatch.ts"
import type { Strategy } from "./strategies/Strategy.ts"
import type { Arrival, Workload } from "./Workload.ts"

export interface Play {
  readonly run: Run
  readonly stopwatch: Stopwatch
  readonly workload: Workload
  readonly strategy: Strategy
  /** Takes the write lock as the workload says, from outside. */
  readonly takeLocks: Effect.Effect<void>
}

const looksEveryMillis = 50

/** Until so long after the load began. */
export const sleepUntil = ({ run }: Pick<Play, "run">, atMillis: number): Effect.Effect<void> =>
  Effect.suspend(() => {
    const left = Math.ceil(atMillis - run.elapsedMillis())
    return left > 0 ? Clock.sleep(left) : Effect.void
  })

/**
 * A daemon tries for ten seconds, with a pause after an error. Then it starts over, which is a new arrival: the stream
 * of arrivals stands for those too, so what gives up adds no load of its own.
 */
const registering = ({ run, strategy }: Play, arrival: Arrival, nowMillis: number): Effect.Effect<void> => {
  const attempt = Effect.suspend(() => {
    run.meter.attempted()
    return strategy.write(Lane.control, Statements.ofArrival(arrival, nowMillis))
  })
  return attempt.pipe(
    Effect.tapError(() => Clock.sleep(Scenario.daemonPauseMillis)),
    Effect.eventually,
    Effect.zipRight(Effect.sync(() => run.meter.answered(arrival.id, run.elapsedMillis()))),
    Effect.timeoutOption(arrival.atMillis + Scenario.daemonLimitMillis - run.elapsedMillis()),
    Effect.asVoid
  )
}

const deal = (play: Play, arrival: Arrival): Effect.Effect<void> =>
  Effect.flatMap(Clock.currentTimeMillis, (nowMillis) =>
    arrival.kind === "registration"
      ? registering(play, arrival, nowMillis)
      : Effect.ignore(play.strategy.write(Lane.data, Statements.ofArrival(arrival, nowMillis)))
  )

const arriving = (play: Play, scope: Scope.Scope): Effect.Effect<void> => {
  const measuredMillis = play.run.scenario.seconds * 1_000
  return Effect.forEach(
    play.workload.arrivals,
    (arrival) =>
      Effect.suspend(() => {
        if (arrival.kind === "registration" && arrival.atMillis < measuredMillis) {
          play.run.meter.intended(arrival.id, arrival.atMillis)
        }
        return Effect.forkIn(deal(play, arrival), scope)
      }).pipe((come) => Effect.zipRight(sleepUntil(play, arrival.atMillis), come)),
    { discard: true }
  )
}

const beating = ({ run, strategy, workload }: Play): Effect.Effect<never> =>
  Effect.flatMap(Clock.currentTimeMillis, (nowMillis) =>
    Effect.zipRight(
      Effect.sync(() => {
        for (const key of workload.sessions) strategy.beat(key, nowMillis)
        for (const key of workload.machines) strategy.beat(key, nowMillis)
      }),
      Clock.sleep(Scenario.beatEveryMillis(run.scenario))
    )
  ).pipe(Effect.forever)

const untilAnswered = (play: Play): Effect.Effect<void> => {
  const { run } = play
  const look: Effect.Effect<void> = Effect.suspend(() => {
    const now = run.elapsedMillis()
    const isOver = now > Scenario.loadMillis(run.scenario)
    if (isOver || run.meter.waitingSince(now - Scenario.daemonLimitMillis) === 0) return Effect.void
    return Effect.zipRight(Clock.sleep(looksEveryMillis), look)
  })
  return Effect.zipRight(sleepUntil(play, run.scenario.seconds * 1_000), look)
}

/** Succeeds when the load is over. Nothing is closed by it. */
export const replay = (play: Play): Effect.Effect<void> =>
  Effect.acquireUseRelease(
    Scope.make(),
    (scope) =>
      Effect.gen(function* () {
        play.stopwatch.start()
        yield* Effect.forkIn(beating(play), scope)
        yield* Effect.forkIn(play.takeLocks, scope)
        yield* Effect.forkIn(arriving(play, scope), scope)
        yield* untilAnswered(play)
      }),
    (scope) => Scope.close(scope, Exit.void)
  )
