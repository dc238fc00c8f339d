import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import type { Connection, ConnectionScope } from "../../../src/realtime/Connection.ts"
import * as Succession from "../../../src/realtime/events/Succession.ts"

const user: ConnectionScope = { _tag: "User" }
const session: ConnectionScope = { _tag: "Session", sessionId: "s1" }
const machine: ConnectionScope = { _tag: "Machine", machineId: "s1" }

const connection = (scope: ConnectionScope, accountId = "a1"): Connection => ({ id: "socket", accountId, scope })

/** A queue with events in it, of an open or a disconnected socket. */
const queue = (
  succession: Succession.Succession,
  scope: ConnectionScope,
  { accountId = "a1", event = "message", isOpen = true } = {}
) => succession.of(connection(scope, accountId), () => isOpen)(event)

const settle = Effect.repeatN(Effect.yieldNow(), 5)

/** Whether a queue may begin. */
const begins = ({ begins }: Succession.Turn) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.fork(begins)
    yield* settle
    const exit = yield* Fiber.poll(fiber)
    yield* Fiber.interrupt(fiber)
    return exit._tag === "Some"
  })

describe("Succession", () => {
  it.effect("lets a queue begin when the earlier events of its client over a disconnected socket are done", () =>
    Effect.gen(function* () {
      const succession = Succession.make()
      const first = queue(succession, session, { isOpen: false })
      const second = queue(succession, session, { isOpen: false })
      const third = queue(succession, session)
      assert.isTrue(yield* begins(first))
      assert.isTrue(yield* begins(queue(succession, session, { event: "update-state" })))
      first.end()
      assert.isTrue(yield* begins(second))
      assert.isFalse(yield* begins(third))
      const waiting = yield* Effect.fork(third.begins)
      yield* settle
      second.end()
      yield* Fiber.join(waiting)
      assert.isTrue(yield* begins(queue(succession, session)))
    })
  )

  it.effect("never makes a client wait for another one", () =>
    Effect.gen(function* () {
      const succession = Succession.make()
      for (const scope of [user, session]) {
        queue(succession, scope)
        assert.isTrue(yield* begins(queue(succession, scope)))
        queue(succession, scope, { isOpen: false })
        assert.isFalse(yield* begins(queue(succession, scope)))
      }
      assert.isTrue(yield* begins(queue(succession, machine)))
      assert.isTrue(yield* begins(queue(succession, { ...session, sessionId: "s2" })))
      assert.isTrue(yield* begins(queue(succession, session, { accountId: "a2" })))
    })
  )
})
