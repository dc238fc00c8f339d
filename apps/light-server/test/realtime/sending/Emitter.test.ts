import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Emitter from "../../../src/realtime/sending/Emitter.ts"
import * as Room from "../../../src/realtime/sending/Room.ts"
import { SocketServer } from "../../../src/realtime/SocketServer.ts"

const activity = { type: "activity", id: "s", active: true, activeAt: 1, thinking: false } as const

/** Remembers what it was asked to send. Only what the emitter uses of it exists. */
const fakeIo = () => {
  const sent: Array<string> = []
  const rooms = new Map<string, Set<string>>()
  const target = { except: () => target, emit: (event: string) => sent.push(event) }
  const io = { of: () => ({ adapter: { rooms } }), to: () => target }
  return { io, rooms, sent }
}

describe("Emitter", () => {
  it.effect("repeats a sign of life only while an app of the account is there to hear it", () =>
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
