/** F42: frames that are larger than an event may be, and larger than anything that is read. */
import { Effect } from "effect"
import { randomUUID } from "node:crypto"
import { scrape } from "../../drivers/Scrape.ts"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as Registrations from "../support/Registrations.ts"
import * as Stage from "../support/Stage.ts"

const large = "A".repeat(1_200_000)

/** Larger than the largest frame that is read. */
const endless = "A".repeat(9_000_000)

export const F42LargeFrames: Scenario = {
  id: "F42",
  title: "frames that are too large",
  injected: "events, parameters and results of 1.2 MB, and one frame of 9 MB",
  promises: ["P9", "P10"],
  needs: [],
  isQuick: true,
  within: "60 seconds",
  run: () =>
    Effect.gen(function* () {
      const { device, server, sessionIds } = yield* Stage.open({ sessionCount: 1 })
      const sid = sessionIds[0] ?? ""
      const machineId = randomUUID()
      yield* Effect.orDie(device.post("/v1/machines", { id: machineId, metadata: "m" }))
      const app = yield* device.connect({ clientType: "user-scoped" })
      const agent = yield* device.connect({ clientType: "session-scoped", sessionId: sid })
      const daemon = yield* device.connect({ clientType: "machine-scoped", machineId })
      const method = `${machineId}:readFile`
      daemon.socket.on("rpc-request", (_: unknown, answer: (result: string) => void) => answer(large))
      daemon.socket.emit("rpc-register", { method })
      yield* daemon.settled
      const ask = Effect.gen(function* () {
        const acks: ReadonlyArray<unknown> = [
          yield* agent.ask("message", { sid, message: large, localId: "l" }),
          yield* agent.ask("update-metadata", { sid, metadata: large, expectedVersion: 0 }),
          yield* daemon.ask("machine-update-state", { machineId, daemonState: large, expectedVersion: 0 }),
          yield* agent.ask("usage-report", { key: large, tokens: { total: 1 }, cost: { total: 1 } }),
          (yield* app.ask("rpc-call", { method, params: large })).errorCode,
          (yield* app.ask("rpc-call", { method, params: "small" })).errorCode
        ]
        return acks
      })
      const { answer, observations } = yield* Registrations.compared(
        server.url,
        Effect.zipLeft(ask, Effect.sleep(1000))
      )
      const lines = [app, agent, daemon]
      const lost = lines.filter(({ heard }) => heard.some(({ event }) => event === "disconnect")).length
      app.socket.emit("message", { sid, message: endless })
      yield* app.until(({ event }) => event === "disconnect")
      const metrics = yield* scrape(server.url)
      return [
        Observe.equal(
          "answers",
          JSON.stringify(answer),
          JSON.stringify([
            { ok: false, error: "invalid-params" },
            { result: "error" },
            { result: "error", message: "Parameters are too large" },
            { success: false, error: "Usage report is too large" },
            "RPC_PARAMS_TOO_LARGE",
            "RPC_RESULT_TOO_LARGE"
          ])
        ),
        Observe.equal("sockets that lost their connection", lost, 0),
        Observe.equal(
          "frames beyond the transport, counted",
          metrics.value("websocket_refusals_total", { reason: "too-large" }),
          1
        ),
        Observe.yes("and logged", server.output().includes("FRAME_TOO_LARGE")),
        ...observations
      ]
    })
}
