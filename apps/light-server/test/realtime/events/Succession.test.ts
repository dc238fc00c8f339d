import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import type { Connection, ConnectionScope } from "../../../src/realtime/Connection.ts"
import * as Succession from "../../../src/realtime/events/Succession.ts"

const user: ConnectionScope = { _tag: "User" }
const session: ConnectionScope = { _tag: "Session", sessionId: "s1" }
const machine: ConnectionScope = { _tag: "Machine", machineId: "s1" }

const connection = (scope: ConnectionScope, accountId = "a1"): Connection => ({ id: "socket", accountId, scope })

/** A queue with events in it, of a socket that is open or has left. */
const queue = (
  succession: Succession.Succession,
  scope: ConnectionScope,
  {
    accountId = "a1",
    count = 1,
    event = "message",
    isOpen = true
  }: { accountId?: string; count?: number; event?: string; isOpen?: boolean } = {}
) => {
  const turn = succession.of(connection(scope, accountId), () => isOpen)(event)
  for (let added = 0; added < count; added++) turn.added()
  return turn
}

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
  it.effect("lets a queue begin when what was in the earlier ones of its client is done", () =>
    Effect.gen(function* () {
      const succession = Succession.make()
      const first = queue(succession, session, { count: 2, isOpen: false })
      const second = queue(succession, session)
      assert.isTrue(yield* begins(first))
      assert.isFalse(yield* begins(second))
      first.done()
      assert.isFalse(yield* begins(second))
      const waiting = yield* Effect.fork(second.begins)
      yield* settle
      first.done()
      first.end()
      yield* Fiber.join(waiting)
      assert.isTrue(yield* begins(second))
      assert.isTrue(yield* begins(queue(succession, session, { event: "update-state" })))
    })
  )

  it.effect("does not wait for what an earlier socket sends later", () =>
    Effect.gen(function* () {
      const succession = Succession.make()
      const first = queue(succession, session)
      const second = queue(succession, session)
      first.added()
      first.done()
      assert.isTrue(yield* begins(second))
    })
  )

  it.effect("keeps clients apart, and the apps of an account until they leave", () =>
    Effect.gen(function* () {
      const succession = Succession.make()
      queue(succession, session)
      queue(succession, user)
      assert.isTrue(yield* begins(queue(succession, machine)))
      assert.isTrue(yield* begins(queue(succession, { ...session, sessionId: "s2" })))
      assert.isTrue(yield* begins(queue(succession, session, { accountId: "a2" })))
      assert.isTrue(yield* begins(queue(succession, user)))
      queue(succession, user, { isOpen: false })
      assert.isFalse(yield* begins(queue(succession, user)))
    })
  )
})
