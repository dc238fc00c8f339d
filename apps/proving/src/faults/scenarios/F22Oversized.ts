/** F22: oversized or malformed input. */
import { Effect, Random } from "effect"
import * as Device from "../../drivers/Device.ts"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as Resident from "../support/Resident.ts"
import * as Stage from "../support/Stage.ts"

const bodies = [
  "{",
  "[]",
  "null",
  '"',
  "{}",
  '{"id":1}',
  "\u0000",
  '{"id":{}}',
  '{"__proto__":{"x":1}}',
  "[".repeat(50_000)
]

/** Packets that no client sends: engine.io accepts them as messages, socket.io does not. */
const packets = [
  // An event that promises attachments for ever, CVE-2026-33151.
  '5999999999-["message",{"_placeholder":true,"num":0}]',
  '51-["message",{"_placeholder":true,"num":-1}]',
  '2["message"',
  "2[]",
  "2{}",
  "9",
  "",
  `2["message",${"[".repeat(20_000)}`,
  '2["constructor",1]',
  '2["__proto__",{}]'
]

export const F22Oversized: Scenario = {
  id: "F22",
  title: "oversized and malformed input",
  injected: "400 requests and 200 sockets with bodies and packets that are too large, broken, or promise more",
  promises: ["P9", "P10"],
  needs: [],
  isQuick: false,
  within: "60 seconds",
  run: ({ seed }) =>
    Effect.gen(function* () {
      const stage = yield* Stage.open({ sessionCount: 1 })
      const { device, server } = stage
      const headers = { authorization: `Bearer ${device.token}`, "content-type": "application/json" }
      const large = JSON.stringify({ id: "x", metadata: "x".repeat(2_000_000) })
      const request = Effect.gen(function* () {
        const isLarge = (yield* Random.nextIntBetween(0, 10)) === 0
        const body = isLarge ? large : (bodies[yield* Random.nextIntBetween(0, bodies.length)] ?? "")
        const path = ["/v1/machines", "/v1/sessions", "/v1/auth"][yield* Random.nextIntBetween(0, 3)] ?? ""
        const answer = yield* Effect.option(Device.request(server.url + path, { method: "POST", headers, body }))
        // A connection that is closed while a body is still coming is an answer too.
        return answer._tag === "Some" ? answer.value.status : 413
      })
      const connect = Effect.scoped(
        Effect.gen(function* () {
          const line = yield* device.connect({ clientType: "user-scoped" })
          const packet = packets[yield* Random.nextIntBetween(0, packets.length)] ?? ""
          line.socket.io.engine.write((yield* Random.nextBoolean) ? packet : `2["message","${"x".repeat(3_000_000)}"]`)
          yield* Effect.race(
            line.until(({ event }) => event === "disconnect"),
            Effect.sleep(200)
          )
        })
      )
      const { answer, before, peak } = yield* Resident.peakDuring(
        server,
        Effect.all([
          Effect.replicateEffect(request, 400, { concurrency: 8 }),
          Effect.replicateEffect(connect, 200, { concurrency: 8 })
        ])
      )
      const statuses = new Map<number, number>()
      for (const status of answer[0]) statuses.set(status, (statuses.get(status) ?? 0) + 1)
      const good = yield* Effect.orDie(device.post("/v1/machines", { id: "good", metadata: "m" }))
      return [
        Observe.figure("answers", JSON.stringify(Object.fromEntries(statuses))),
        Observe.none(
          "answers with a server error",
          [...statuses.keys()].filter((status) => status >= 500)
        ),
        Observe.atLeast("answers that it is too large", statuses.get(413) ?? 0, 1),
        Observe.atLeast("answers that it is malformed", statuses.get(400) ?? 0, 1),
        Observe.atMost("more memory than before", peak - before, 128, "MiB"),
        Observe.yes("the log has no defect", !server.output().includes("DEFECT"), server.output().slice(-300)),
        Observe.equal("a good request afterwards", good.status, 200),
        Observe.equal("rows that came of it", server.rows("SELECT id FROM Machine").length, 1)
      ]
    }).pipe(Effect.withRandom(Random.make(seed)))
}
