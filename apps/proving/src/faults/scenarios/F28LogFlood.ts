/** F28: every request fails, and the log is not read. */
import { Effect } from "effect"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as Box from "../support/Box.ts"
import * as AckFile from "../support/AckFile.ts"
import * as Disturbance from "../support/Disturbance.ts"
import * as Hook from "../support/Hook.ts"
import * as Stage from "../support/Stage.ts"

const readsNoMore = "exec >/dev/null 2>&1; while kill -0 $$ 2>/dev/null; do sleep 0.2; done"

/** Reads until the server is ready, and then nothing while it runs. The shell replaces itself with the server. */
const stuckPipe = ["bash", "-c", `exec "$0" "$@" 1> >(sed -u "/happier-light-server is ready at/q"; ${readsNoMore})`]

const flood = (name: string, holdMillis: number, through: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const hook = yield* Hook.make
    const thread = Hook.writerThread
    const stage = yield* Stage.open({
      environment: { ...hook.environment, HAPPIER_LOG_LEVEL: "debug" },
      place: { through }
    })
    const { server } = stage
    let bytes = 0
    const inject = Effect.acquireRelease(
      Effect.suspend(() => {
        bytes = server.output().length
        return hook.order(server, { action: "cap", pages: 0, thread })
      }),
      () => {
        bytes = server.output().length - bytes
        return hook.order(server, { action: "cap", pages: 2 ** 30, thread })
      }
    )
    const load = { registrationsPerSecond: 60, messagesPerSecond: 60 }
    const disturbed = yield* Disturbance.run(stage, { inject, holdMillis, load })
    const { during, recovered } = disturbed
    return [
      Observe.atLeast("requests that failed", Disturbance.refusedCount(during), 1),
      Observe.atMost("logged in less than a minute", bytes, 1.1 * 2 ** 20, "bytes"),
      Observe.none(
        "unanswered questions whether it lives",
        during.probes.filter(({ status }) => status !== 200)
      ),
      Observe.atMost("slowest answer that it lives", AckFile.latencies(during.probes).worst, Box.marginMillis(), "ms"),
      ...recovered
    ].map((each) => ({ ...each, name: `${name}: ${each.name}` }))
  }).pipe(Effect.scoped)

export const F28LogFlood: Scenario = {
  id: "F28",
  title: "every request fails, and the log is not read",
  injected:
    "120 failing requests a second at log level debug, for 20 s (long: 50 s); again with a log pipe that is not read",
  promises: ["P10", "P14"],
  needs: [],
  isQuick: false,
  within: "3 minutes",
  withinLong: "4 minutes",
  run: ({ isLong }) =>
    Effect.gen(function* () {
      const holdMillis = isLong ? 50_000 : 20_000
      return [...(yield* flood("read", holdMillis, [])), ...(yield* flood("stuck", holdMillis, stuckPipe))]
    })
}
