/** F29: the thread that writes dies, or hangs. */
import { Effect } from "effect"
import * as Observe from "../Observe.ts"
import type { Observation, Scenario } from "../Scenario.ts"
import * as Disturbance from "../support/Disturbance.ts"
import * as Hook from "../support/Hook.ts"
import * as Stage from "../support/Stage.ts"

const named = (name: string, observations: ReadonlyArray<Observation>) =>
  observations.map((each) => ({ ...each, name: `${name}: ${each.name}` }))

export const F29WriterDeath: Scenario = {
  id: "F29",
  title: "the thread that writes dies, or hangs",
  injected: "an uncaught exception in the thread, three times; then a busy loop of 8 s in it",
  promises: ["P1", "P7", "P10", "P11", "P13"],
  needs: [],
  isQuick: true,
  within: "90 seconds",
  run: () =>
    Effect.gen(function* () {
      const hook = yield* Hook.make
      const stage = yield* Stage.open({ environment: hook.environment })
      const { server } = stage
      const thread = Hook.writerThread
      const deaths = () => server.output().split("the sqlite-writer thread ended").length - 1
      const die = Effect.repeatN(Effect.delay(hook.order(server, { action: "die", thread }), "700 millis"), 2)
      const killed = yield* Disturbance.run(stage, { inject: Effect.forkScoped(die), holdMillis: 3000 })
      const counted = deaths()
      const hang = hook.order(server, { action: "stall", millis: 8000, thread })
      const hung = yield* Disturbance.run(stage, { inject: hang, holdMillis: 6000 })
      const codes = ["ConnectionLost", "WriterClosed", "DatabaseBusy", ...Disturbance.overload]
      return [
        Observe.equal("deaths of the thread that were noticed", counted, 3),
        ...named("death", Disturbance.common(stage, killed, codes)),
        Observe.atLeast("registrations refused while it hung", Disturbance.refusedCount(hung.during), 1),
        Observe.equal("readiness while it hung", hung.readiness, 503),
        ...named("hang", Disturbance.common(stage, hung, codes))
      ]
    })
}
