/**
 * An account with its usual load while another client attacks: its
 * registrations and the health of the process, compared with a quiet stretch of
 * the same run.
 */
import { Effect, type Scope } from "effect"
import * as Observe from "../Observe.ts"
import type { Observation } from "../Scenario.ts"
import * as AckFile from "./AckFile.ts"
import * as Box from "./Box.ts"
import type * as Stage from "./Stage.ts"

const quietMillis = 4000

/** A registration that waits for longer while nothing else happens: the box has no time for a measurement. */
const tellableMillis = 500

/** No registration may wait for longer. */
const worstMillis = 2000

/** Runs the attack after a quiet stretch, and returns its effect on the bystander. */
export const during = <A, E>(
  stage: Stage.Stage,
  attack: Effect.Effect<A, E, Scope.Scope>
): Effect.Effect<{ readonly answer: A; readonly observations: ReadonlyArray<Observation> }, E, Scope.Scope> =>
  Effect.gen(function* () {
    const load = yield* stage.load({ registrationsPerSecond: 10, messagesPerSecond: 0, probesPerSecond: 5 })
    const began = Date.now()
    yield* Effect.sleep(quietMillis)
    const attacked = Date.now()
    const answer = yield* attack
    const ended = Date.now()
    yield* load.stop
    const entries = load.entries()
    const stretch = (from: number, to: number) => ({
      registrations: AckFile.between(AckFile.of(entries, "registration"), from, to),
      probes: AckFile.between(AckFile.of(entries, "probe"), from, to)
    })
    const quiet = stretch(began, attacked)
    const loud = stretch(attacked, ended)
    const idle = AckFile.latencies(quiet.registrations)
    const met = AckFile.latencies(loud.registrations)
    const lives = AckFile.latencies(loud.probes)
    const doubt =
      idle.worst <= tellableMillis ? undefined : `a registration took ${idle.worst} ms in the quiet stretch already`
    return {
      answer,
      observations: [
        Observe.figure(
          "registrations in the quiet stretch",
          `${idle.count}, p99 ${idle.p99} ms, worst ${idle.worst} ms`
        ),
        Observe.atLeast("registrations of the bystander meanwhile", met.count, 1),
        Observe.excused(
          doubt,
          Observe.none(
            "of these refused",
            loud.registrations.filter(({ status }) => status !== 200)
          )
        ),
        Observe.unless(
          doubt,
          Observe.atMost(`p${met.tail} of them`, met.atTail, 2 * idle.p99 + Box.stretched(50), "ms")
        ),
        Observe.excused(doubt, Observe.atMost("slowest of them", met.worst, Box.stretched(worstMillis), "ms")),
        Observe.unless(
          doubt,
          Observe.atMost(
            "slowest answer that it lives",
            lives.worst,
            Math.max(Box.stretched(250), 2 * AckFile.latencies(quiet.probes).worst),
            "ms"
          )
        )
      ]
    }
  })

/** Repeats an attack over so many connections at once, and counts the answers by status; 0 is a closed connection. */
export const repeated = (
  connections: number,
  millis: number,
  attempt: Effect.Effect<number>
): Effect.Effect<ReadonlyMap<number, number>> =>
  Effect.gen(function* () {
    const counts = new Map<number, number>()
    const until = Date.now() + millis
    const answered = attempt.pipe(
      Effect.timeoutTo({ duration: 10_000, onSuccess: (status) => status, onTimeout: () => 0 })
    )
    const one = Effect.map(answered, (status) => void counts.set(status, (counts.get(status) ?? 0) + 1))
    const many = Effect.repeat(one, { while: () => Date.now() < until })
    yield* Effect.replicateEffect(many, connections, { concurrency: "unbounded", discard: true })
    return counts
  })

/** The counts, and that none of the statuses is one that it must not be. */
export const refused = (
  counts: ReadonlyMap<number, number>,
  allowed: ReadonlyArray<number>
): ReadonlyArray<Observation> => [
  Observe.figure("answers by status", JSON.stringify(Object.fromEntries(counts))),
  Observe.none(
    `answers other than ${allowed.join(", ")}`,
    [...counts.keys()].filter((status) => !allowed.includes(status))
  )
]
