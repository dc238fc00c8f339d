/** F37: bodies that are nested thousands of times. */
import { Effect } from "effect"
import * as Device from "../../drivers/Device.ts"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as Bystander from "../support/Bystander.ts"
import * as Stage from "../support/Stage.ts"

const attackMillis = 6000

const nested = (levels: number) => `${"[".repeat(levels)}${"]".repeat(levels)}`

/** A body that fits except for one field. */
const bodies = [
  nested(2500),
  nested(4000),
  `{"id":"x","metadata":${nested(3000)}}`,
  `{"publicKey":${nested(3500)}}`,
  `{"tag":${'{"a":'.repeat(1200)}1${"}".repeat(1200)}}`
]

const paths = ["/v1/version", "/v1/auth", "/v1/auth/request", "/v1/machines", "/v1/sessions", "/v1/account/settings"]

export const F37NestedBodies: Scenario = {
  id: "F37",
  title: "bodies that are nested thousands of times",
  injected: "20 connections send small bodies of 1 200 to 4 000 levels to six routes, with and without a token",
  promises: ["P7", "P10"],
  needs: [],
  isQuick: true,
  within: "4 minutes",
  run: () =>
    Effect.gen(function* () {
      const stage = yield* Stage.open({
        sessionCount: 1,
        environment: { HAPPIER_RATE_LIMIT_OPEN: "0", HAPPIER_RATE_LIMIT_BAD_TOKENS: "0" }
      })
      let turn = 0
      const attempt = Effect.suspend(() => {
        turn += 1
        return Device.request(stage.server.url + (paths[turn % paths.length] ?? ""), {
          method: "POST",
          headers: {
            "content-type": "application/json",
            ...(turn % 7 < 5 ? { authorization: `Bearer ${stage.device.token}` } : {})
          },
          body: bodies[turn % bodies.length] ?? ""
        })
      }).pipe(Effect.match({ onFailure: () => 0, onSuccess: ({ status }) => status }))
      const { answer, observations } = yield* Bystander.during(stage, Bystander.repeated(20, attackMillis, attempt))
      return [
        ...observations,
        ...Bystander.refused(answer, [400, 401, 0]),
        Observe.atLeast("answers that it is malformed", answer.get(400) ?? 0, 1),
        Observe.yes("the log has no defect", !stage.server.output().includes("DEFECT"))
      ]
    })
}
