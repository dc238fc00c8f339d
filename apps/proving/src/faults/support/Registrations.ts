/**
 * Another account that registers machines meanwhile: the effect on other clients.
 */
import { Effect, type Scope } from "effect"
import { randomUUID } from "node:crypto"
import * as Client from "../../drivers/AccountClient.ts"
import * as Device from "../../drivers/Device.ts"
import * as Observe from "../Observe.ts"
import type { Observation } from "../Scenario.ts"

const pauseMillis = 50

/** Logs in, and registers one machine after the other while `effect` runs. */
const during = <A, E, R>(bystander: Device.Device, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const millis: Array<number> = []
    const statuses = new Set<number>()
    const registering = yield* bystander.post("/v1/machines", { id: randomUUID(), metadata: "m" }).pipe(
      Effect.tap((answer) => {
        millis.push(answer.millis)
        statuses.add(answer.status)
      }),
      Effect.zipRight(Effect.sleep(pauseMillis)),
      Effect.forever,
      Effect.ignore,
      Effect.fork
    )
    const answer = yield* effect
    yield* registering.interruptAsFork(registering.id())
    return { answer, millis: millis.toSorted((a, b) => a - b), statuses }
  })

const p99 = (sorted: ReadonlyArray<number>): number => sorted[Math.floor(sorted.length * 0.99)] ?? sorted.at(-1) ?? 0

/** Above it the control itself is slower than an idle box makes it: what follows would measure the box. */
const quietMillis = 100

/**
 * Runs `effect`, and before it a control without it, and compares what
 * registrations of another account take.
 */
export const compared = <A, E, R>(
  url: string,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<{ readonly answer: A; readonly observations: ReadonlyArray<Observation> }, E, R | Scope.Scope> =>
  Effect.gen(function* () {
    const bystander = yield* Device.login(url, Client.make())
    const idle = yield* during(bystander, Effect.sleep("3 seconds"))
    const busy = yield* during(bystander, effect)
    const timed = (observation: Observation) => Observe.where(p99(idle.millis) <= quietMillis, observation)
    return {
      answer: busy.answer,
      observations: [
        Observe.figure(
          "registrations of another account, idle",
          `${idle.millis.length}, p99 ${Math.round(p99(idle.millis))} ms`
        ),
        Observe.atLeast("registrations of another account meanwhile", busy.millis.length, 5),
        Observe.equal("their answers", [...busy.statuses].join(" "), "200"),
        timed(Observe.atMost("their p99", p99(busy.millis), Math.round(2 * p99(idle.millis) + 50), "ms")),
        timed(Observe.atMost("the slowest of them", busy.millis.at(-1) ?? 0, 2000, "ms"))
      ]
    }
  })
