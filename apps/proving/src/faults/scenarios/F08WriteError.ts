/** F8: the n-th write into the log fails, for n = 1, 2, 3 and so on. */
import { Effect } from "effect"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as Disturbance from "../support/Disturbance.ts"
import * as Stage from "../support/Stage.ts"
import * as Tracer from "../support/Tracer.ts"

const round = (stage: Stage.Stage, first: number) =>
  Effect.gen(function* () {
    const { server } = stage
    const inject = Effect.flatMap(server.pid, (pid) =>
      Tracer.attach(pid, ["-P", `${server.databaseFile}-wal`, "-e", `inject=pwrite64:error=EIO:when=${first}+3`])
    )
    const disturbed = yield* Disturbance.run(stage, { inject, holdMillis: 2500, isDeaf: true, downMillis: 5000 })
    const observations = [
      Observe.atLeast("writes that failed", disturbed.injected.injectedCount(), 1),
      ...Disturbance.supervised(stage, disturbed, ["DatabaseIo", "DatabaseBusy", ...Disturbance.overload])
    ]
    return observations.map((each) => ({ ...each, name: `from ${first}: ${each.name}` }))
  })

export const F08WriteError: Scenario = {
  id: "F8",
  title: "writes into the log fail",
  injected:
    "strace on the server: the n-th write into the log and each third after it fail, n = 1, 2, 3 (long: up to 12)",
  promises: ["P1", "P7", "P11", "P13"],
  needs: ["strace"],
  isQuick: false,
  within: "2 minutes",
  withinLong: "5 minutes",
  run: ({ isLong }) =>
    Effect.gen(function* () {
      const stage = yield* Stage.open({ isSupervised: true })
      const numbers = Array.from({ length: isLong ? 12 : 3 }, (_, index) => index + 1)
      return (yield* Effect.forEach(numbers, (first) => round(stage, first))).flat()
    })
}
