import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Schema } from "effect"
import type { Connection } from "../../../src/realtime/Connection.ts"
import * as Dispatcher from "../../../src/realtime/events/Dispatcher.ts"
import * as EventBudget from "../../../src/realtime/events/EventBudget.ts"
import * as RealtimeOptions from "../../../src/realtime/RealtimeOptions.ts"
import * as EventRegistry from "../../../src/realtime/events/EventRegistry.ts"
import * as Succession from "../../../src/realtime/events/Succession.ts"

const connection: Connection = { id: "socket", accountId: "a1", scope: { _tag: "User" } }

const roomy = {
  ...RealtimeOptions.defaults,
  eventsPerSecond: 1,
  eventBurst: 1000,
  inFlightLimit: 1000
}

/** A dispatcher, the fibers it started and what it answered. */
const make = (
  registry: EventRegistry.EventRegistry["Type"],
  options: Partial<typeof roomy> = {},
  account: { readonly perSecond: number; readonly burst: number } = { perSecond: 1, burst: 1000 }
) => {
  const fibers: Array<Fiber.RuntimeFiber<void>> = []
  const floods: Array<string> = []
  const seen: Array<string> = []
  const dispatch = Dispatcher.make(
    registry,
    connection,
    { ...roomy, ...options },
    {
      run: (effect) => void fibers.push(Effect.runFork(effect)),
      nowMillis: () => 0,
      accountBudget: EventBudget.make(account, 0),
      intake: { add: () => {}, remove: () => {} },
      turnOf: Succession.make().of(connection, () => true),
      isOpen: () => true,
      closeTransport: () => {},
      onEvent: () => void seen.push("event"),
      onFlood: () => void floods.push("flood")
    }
  )
  const answers: Array<unknown> = []
  return {
    answers,
    floods,
    seen,
    ask: (event: string, payload: unknown) =>
      dispatch(event, [payload, (answer: unknown) => void answers.push(answer)]),
    dispatch,
    settled: Effect.suspend(() => Fiber.joinAll(fibers))
  }
}

const doubling = (registry: EventRegistry.EventRegistry["Type"], answer: (n: number) => Effect.Effect<unknown>) =>
  registry.on({
    event: "double",
    payload: Schema.Number,
    refusal: (reason) => reason,
    answer: (_, n) => answer(n)
  })

describe("Dispatcher", () => {
  it.effect("answers with the success of the handler", () =>
    Effect.gen(function* () {
      const registry = yield* EventRegistry.make
      yield* doubling(registry, (n) => Effect.succeed(2 * n))
      const { answers, ask, settled } = make(registry)
      ask("double", 21)
      yield* settled
      assert.deepStrictEqual(answers, [42])
    })
  )

  it.effect("counts each event within the limits as a sign of life, except plain ones, which report their own", () =>
    Effect.gen(function* () {
      const registry = yield* EventRegistry.make
      yield* doubling(registry, (n) => Effect.succeed(2 * n))
      yield* registry.onPlain("alive", () => "accepted")
      const { ask, dispatch, seen, settled } = make(registry, { eventBurst: 4, eventsPerSecond: 0 })
      ask("double", 21)
      dispatch("ping", [])
      dispatch("alive", [])
      dispatch("unknown", [])
      assert.lengthOf(seen, 3)
      dispatch("ping", [])
      assert.lengthOf(seen, 3, "refused")
      yield* settled
    })
  )

  it.effect("answers a payload that does not fit with the refusal of the event", () =>
    Effect.gen(function* () {
      const registry = yield* EventRegistry.make
      yield* doubling(registry, () => Effect.dieMessage("must not run"))
      const { answers, ask, dispatch } = make(registry)
      ask("double", "21")
      ask("double", undefined)
      dispatch("double", [])
      assert.deepStrictEqual(answers, ["invalid", "invalid"])
    })
  )

  it.effect("answers ping with an empty object, and needs no callback", () =>
    Effect.gen(function* () {
      const { answers, dispatch } = make(yield* EventRegistry.make)
      dispatch("ping", [(answer: unknown) => void answers.push(answer)])
      dispatch("ping", [])
      dispatch("ping", [{ text: "hello" }])
      assert.deepStrictEqual(answers, [{}])
    })
  )

  it.effect("survives handlers that die and listeners that throw", () =>
    Effect.gen(function* () {
      const registry = yield* EventRegistry.make
      yield* doubling(registry, (n) => {
        if (n === 0) throw new Error("while the effect is made")
        return Effect.die(new Error("while it runs"))
      })
      yield* registry.onPlain("plain", () => {
        throw new Error("while it listens")
      })
      const { answers, ask, dispatch, settled } = make(registry)
      ask("double", 1)
      ask("double", 0)
      dispatch("plain", [1])
      yield* settled
      ask("double", 2)
      yield* settled
      assert.deepStrictEqual(answers, ["failed", "failed", "failed"])
    })
  )

  it.effect("ignores unregistered events", () =>
    Effect.gen(function* () {
      const { answers, ask } = make(yield* EventRegistry.make)
      ask("artifact-read", {})
      ask("__proto__", {})
      assert.deepStrictEqual(answers, [])
    })
  )

  it.effect("refuses what goes over the budget of the socket", () =>
    Effect.gen(function* () {
      const registry = yield* EventRegistry.make
      let heard = 0
      yield* registry.onPlain("plain", () => {
        heard += 1
        return "accepted"
      })
      yield* doubling(registry, (n) => Effect.succeed(2 * n))
      const { answers, ask, dispatch, settled } = make(registry, { eventBurst: 3, eventsPerSecond: 0 })
      ask("double", 1)
      dispatch("plain", [1])
      ask("double", 2)
      dispatch("plain", [2])
      ask("double", 3)
      yield* settled
      assert.strictEqual(heard, 1)
      assert.sameMembers(answers, [2, 4, "limited"])
    })
  )

  it.effect("refuses a payload that is larger than an event may be, whether the event is kept or not", () =>
    Effect.gen(function* () {
      const registry = yield* EventRegistry.make
      const spec = {
        payload: Schema.Unknown,
        refusal: (reason: EventRegistry.Refusal) => reason,
        answer: () => Effect.dieMessage("must not run")
      }
      yield* registry.on({ ...spec, event: "plain" })
      yield* registry.on({ ...spec, event: "kept", keep: { withoutAck: "silence", isRepeatable: () => true } })
      const { answers, ask } = make(registry, { payloadBytesMax: 10 })
      ask("plain", "x".repeat(11))
      ask("kept", { text: "x".repeat(11) })
      assert.deepStrictEqual(answers, ["too-large", "too-large"])
    })
  )

  it.effect("never refuses a kept event because of their number, and counts one that does not fit", () =>
    Effect.gen(function* () {
      const registry = yield* EventRegistry.make
      yield* registry.on({
        event: "kept",
        payload: Schema.Number,
        keep: { withoutAck: "silence", isRepeatable: () => true },
        refusal: (reason) => reason,
        answer: (_, n) => Effect.succeed(n)
      })
      const { answers, ask, floods, settled } = make(registry, { eventBurst: 1, inFlightLimit: 1 })
      for (let n = 0; n < 50; n++) ask("kept", n)
      yield* settled
      assert.deepStrictEqual(
        answers,
        Array.from({ length: 50 }, (_, n) => n)
      )
      answers.length = 0
      for (let n = 0; n < 3; n++) ask("kept", "no number")
      assert.deepStrictEqual(answers, ["invalid", "limited", "limited"])
      assert.deepStrictEqual(floods, ["flood"])
    })
  )

  it.effect("refuses what goes over the budget of the account, without counting it against the socket", () =>
    Effect.gen(function* () {
      const registry = yield* EventRegistry.make
      yield* doubling(registry, (n) => Effect.succeed(2 * n))
      const { answers, ask, floods, settled } = make(registry, { eventBurst: 5 }, { perSecond: 0, burst: 1 })
      for (const n of [1, 2, 3, 4, 5]) ask("double", n)
      yield* settled
      assert.sameMembers(answers, [2, "limited", "limited", "limited", "limited"])
      assert.deepStrictEqual(floods, [])
    })
  )

  it.effect("reports once that a socket floods, when it has used up a second budget with refused events", () =>
    Effect.gen(function* () {
      const { dispatch, floods } = make(yield* EventRegistry.make, { eventBurst: 3, eventsPerSecond: 0 })
      for (let index = 0; index < 6; index++) dispatch("ping", [])
      assert.deepStrictEqual(floods, [])
      for (let index = 0; index < 6; index++) dispatch("ping", [])
      assert.deepStrictEqual(floods, ["flood"])
    })
  )

  it.effect("calls the refusal of a plain event", () =>
    Effect.gen(function* () {
      const registry = yield* EventRegistry.make
      const said: Array<string> = []
      yield* registry.onPlain(
        "plain",
        () => "accepted",
        ({ id }) => void said.push(id)
      )
      const { dispatch } = make(registry, { eventBurst: 1, eventsPerSecond: 0 })
      dispatch("plain", [1])
      assert.deepStrictEqual(said, [])
      dispatch("plain", [2])
      assert.deepStrictEqual(said, ["socket"])
    })
  )

  it.effect("refuses while too many handlers run, and accepts again when one has ended", () =>
    Effect.gen(function* () {
      const registry = yield* EventRegistry.make
      const gate = yield* Deferred.make<void>()
      yield* doubling(registry, (n) => Effect.as(Deferred.await(gate), 2 * n))
      const { answers, ask, settled } = make(registry, { inFlightLimit: 2 })
      for (const n of [1, 2, 3]) ask("double", n)
      assert.deepStrictEqual(answers, ["limited"])
      yield* Deferred.succeed(gate, undefined)
      yield* settled
      ask("double", 4)
      yield* settled
      assert.sameMembers(answers, ["limited", 2, 4, 8])
    })
  )

  it.effect("dies when an event is registered twice", () =>
    Effect.gen(function* () {
      const registry = yield* EventRegistry.make
      yield* registry.onPlain("plain", () => "accepted")
      const exit = yield* Effect.exit(registry.onPlain("plain", () => "accepted"))
      assert.isTrue(exit._tag === "Failure" && exit.cause._tag === "Die")
    })
  )
})
