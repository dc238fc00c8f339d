/**
 * Another account that registers machines meanwhile: the effect on other clients.
 */
import { Effect, type Scope } from "effect"
import { randomUUID } from "node:crypto"
import fs from "node:fs"
import * as Client from "../../drivers/AccountClient.ts"
import * as Device from "../../drivers/Device.ts"
import * as OtherLoad from "../../drivers/OtherLoad.ts"
import * as Observe from "../Observe.ts"
import type { Observation } from "../Scenario.ts"

/** So short that a control of three seconds has a 99th percentile: a hundred registrations. */
const pauseMillis = 20

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

/** Share of all processor time that others may use meanwhile. The limit allows twice the time of the control. */
const otherShareMax = 0.25

/** Why a comparison would measure the box; `undefined` where it does not. */
export const doubtOf = (idleP99Millis: number, otherShare: number): string | undefined => {
  const reasons = [
    ...(idleP99Millis > quietMillis
      ? [`registrations took ${Math.round(idleP99Millis)} ms without the load already`]
      : []),
    ...(otherShare > otherShareMax ? [`other programs used ${Math.round(otherShare * 100)} % of the processors`] : [])
  ]
  return reasons.length === 0 ? undefined : reasons.join(", and ")
}

/** The process group of this process, to which the server and its commands belong. */
const ownGroup = (): number => OtherLoad.readStat(fs.readFileSync("/proc/self/stat", "utf8")).group

const sample = Effect.sync(() => (process.platform === "linux" ? OtherLoad.sample(ownGroup()) : undefined))

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
    const first = yield* sample
    const idle = yield* during(bystander, Effect.sleep("3 seconds"))
    const second = yield* sample
    const busy = yield* during(bystander, effect)
    // Another program may have begun in either part.
    const otherShare = Math.max(OtherLoad.share(first, second), OtherLoad.share(second, yield* sample))
    const doubt = doubtOf(p99(idle.millis), otherShare)
    const others = `${Math.round(otherShare * 100)} % of the processors used by other programs`
    const p99Limit = Math.round(2 * p99(idle.millis) + 50)
    return {
      answer: busy.answer,
      observations: [
        Observe.figure(
          "registrations of another account, idle",
          `${idle.millis.length}, p99 ${Math.round(p99(idle.millis))} ms, ${others}`
        ),
        Observe.atLeast("registrations of another account meanwhile", busy.millis.length, 5),
        Observe.equal("their answers", [...busy.statuses].join(" "), "200"),
        Observe.unless(doubt, Observe.atMost("their p99", p99(busy.millis), p99Limit, "ms")),
        Observe.excused(doubt, Observe.atMost("the slowest of them", busy.millis.at(-1) ?? 0, 2000, "ms"))
      ]
    }
  })
