import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Emitter from "../../../src/realtime/sending/Emitter.ts"
import * as Room from "../../../src/realtime/sending/Room.ts"
import { SocketServer } from "../../../src/realtime/SocketServer.ts"

const activity = { type: "activity", id: "s", active: true, activeAt: 1, thinking: false } as const

/** Records what it was asked to send. Only the methods that the emitter uses exist. */
const fakeIo = () => {
  const sent: Array<string> = []
  const rooms = new Map<string, Set<string>>()
  const target = { except: () => target, emit: (event: string) => sent.push(event) }
  const io = { of: () => ({ adapter: { rooms } }), to: () => target }
  return { io, rooms, sent }
}

describe("Emitter", () => {
  it.scoped("repeats a heartbeat only while an app of the account is connected", () =>
    Effect.gen(function* () {
      const { io, rooms, sent } = fakeIo()
      const emitter = yield* Effect.provideService(Emitter.make(), SocketServer, {
        io
      } as unknown as SocketServer["Type"])
      const recipients = Room.toApps("account")
      emitter.repeated(recipients, activity)
      assert.deepStrictEqual(sent, [])
      rooms.set(recipients[0] ?? "", new Set(["socket"]))
      emitter.repeated(recipients, activity)
      assert.deepStrictEqual(sent, ["ephemeral"])
    })
  )
})
