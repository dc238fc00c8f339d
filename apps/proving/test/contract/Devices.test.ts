/**
 * Goal: an account lists its devices and revokes one of them: over
 * HTTP, over its open sockets and after a restart, while the others go on.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { contract, Wire } from "../../src/contract/Wire.ts"

const goodbye = "Invalid authentication token"

contract("Devices", (it) => {
  it.scoped("lists them with what they are connected as, the one that asks among them", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const phone = yield* person()
      const laptop = yield* person(phone.keys)
      const { machineId } = yield* laptop.daemon
      const { sid } = yield* laptop.agent
      yield* phone.app
      const { devices } = yield* phone.call("GET /v1/account/devices", 200)
      assert.lengthOf(devices, 2)
      const mine = devices.find(({ isCurrent }) => isCurrent)
      const other = devices.find(({ isCurrent }) => !isCurrent)
      assert.deepStrictEqual(mine?.connections, [{ type: "user-scoped" }])
      assert.sameDeepMembers(
        [...(other?.connections ?? [])],
        [
          { type: "machine-scoped", machineId },
          { type: "session-scoped", sessionId: sid }
        ]
      )
      for (const { client, firstSeenAt, lastSeenAt } of devices) {
        assert.match(String(client), /axios|node/)
        assert.isAtLeast(lastSeenAt, firstSeenAt)
      }
      const stranger = yield* person()
      assert.lengthOf((yield* stranger.call("GET /v1/account/devices", 200)).devices, 1)
    })
  )

  it.scoped("revokes one for good, and no other", () =>
    Effect.gen(function* () {
      const { dial, person, server } = yield* Wire
      const phone = yield* person()
      const lost = yield* person(phone.keys)
      const app = yield* phone.app
      const { line } = yield* lost.daemon
      const { devices } = yield* phone.call("GET /v1/account/devices", 200)
      const id = devices.find(({ isCurrent }) => !isCurrent)?.id ?? ""
      const stranger = yield* person()
      yield* stranger.call("DELETE /v1/account/devices/:id", 404, { params: { id } })
      yield* phone.call("DELETE /v1/account/devices/:id", 404, { params: { id: "none" } })

      yield* phone.call("DELETE /v1/account/devices/:id", 200, { params: { id } })
      assert.deepStrictEqual((yield* line.until(({ event }) => event === "error")).payload, { message: goodbye })
      yield* line.until(({ event }) => event === "disconnect")
      const { devices: left } = yield* phone.call("GET /v1/account/devices", 200)
      assert.deepStrictEqual(
        left.map(({ isCurrent }) => isCurrent),
        [true]
      )
      yield* app.settled
      yield* phone.call("DELETE /v1/account/devices/:id", 404, { params: { id } })

      const isShutOut = Effect.gen(function* () {
        const again = yield* dial({ token: lost.token, clientType: "user-scoped" })
        assert.deepStrictEqual((yield* again.until(({ event }) => event === "error")).payload, { message: goodbye })
      })
      yield* isShutOut
      yield* server.end("SIGTERM")
      yield* server.start
      yield* isShutOut
      yield* phone.call("GET /v1/account/profile", 200)
    })
  )
})
