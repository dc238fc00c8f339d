/** F36: large and invalid bodies without a token. */
import { Effect } from "effect"
import * as Device from "../../drivers/Device.ts"
import type { Scenario } from "../Scenario.ts"
import * as Bystander from "../support/Bystander.ts"
import * as Stage from "../support/Stage.ts"

const attackMillis = 6000

/** Each is as large as it may be, or far larger, and no route takes it. */
const bodies = [
  JSON.stringify({ platform: Array.from({ length: 100_000 }, () => "xxxxxxx") }),
  JSON.stringify(Array.from({ length: 900 }, () => "xxxxxx")),
  JSON.stringify({ platform: { text: "x".repeat(8000) } })
]

export const F36InvalidBodies: Scenario = {
  id: "F36",
  title: "large invalid bodies without a token",
  injected:
    "40 connections send bodies of up to 1 MB that fit no schema to a route that needs no token, without a pause",
  promises: ["P7", "P10"],
  needs: [],
  isQuick: true,
  within: "4 minutes",
  run: () =>
    Effect.gen(function* () {
      const stage = yield* Stage.open({ sessionCount: 1, environment: { HAPPIER_RATE_LIMIT_OPEN: "0" } })
      let turn = 0
      const attempt = Effect.suspend(() =>
        Device.request(`${stage.server.url}/v1/version`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: bodies[turn++ % bodies.length] ?? ""
        })
      ).pipe(Effect.match({ onFailure: () => 0, onSuccess: ({ status }) => status }))
      const { answer, observations } = yield* Bystander.during(stage, Bystander.repeated(40, attackMillis, attempt))
      return [...observations, ...Bystander.refused(answer, [400, 413, 0])]
    })
}
