/** The rule for writes that cannot be done now, on virtual time. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Runtime, TestClock } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { DatabaseBusy, WriteRejected } from "presence-effect/writer/WriterError"
import type { Failure } from "../../../src/http/FailureTable.ts"
import type { Connection } from "../../../src/realtime/Connection.ts"
import * as EventBudget from "../../../src/realtime/events/EventBudget.ts"
import type { Handling } from "../../../src/realtime/events/EventRegistry.ts"
import * as KeptEvents from "../../../src/realtime/events/KeptEvents.ts"
import * as Succession from "../../../src/realtime/events/Succession.ts"
import { defaults } from "../../../src/realtime/RealtimeOptions.ts"
import { valueOf } from "../../support/Gauges.ts"

const busy = new DatabaseBusy({ lane: Lane.data, code: "SQLITE_BUSY", attempts: 1 })
const rejected = new WriteRejected({ lane: Lane.data, code: "SQLITE_CONSTRAINT", detail: "test" })

type Keep = NonNullable<Handling["keep"]>

const message: Keep = { withoutAck: "silence", isRepeatable: true, attemptAll: undefined }
const unnamed: Keep = { ...message, isRepeatable: false }
const update: Keep = { ...message, withoutAck: "close" }

const outcomes = (outcome: string) => valueOf("websocket_kept_events_total", { key: "outcome", value: outcome })

const agent: Connection = { id: "socket", accountId: "a1", scope: { _tag: "Session", sessionId: "s1" } }

/** A socket, its writes, and what it receives. */
const make = (
  budget = EventBudget.make({ perSecond: 1, burst: 1_000_000 }, 0),
  { log = [], succession = Succession.make() }: { log?: Array<unknown>; succession?: Succession.Succession } = {}
) =>
  Effect.gen(function* () {
    const runtime = yield* Effect.runtime<never>()
    const fibers: Array<Fiber.RuntimeFiber<void>> = []
    const state: { isOpen: boolean; waitingBytes: number; failure: Failure | undefined } = {
      isOpen: true,
      waitingBytes: 0,
      failure: undefined
    }
    const kept = KeptEvents.make(defaults, {
      run: (effect) => void fibers.push(Runtime.runFork(runtime)(effect)),
      accountBudget: budget,
      intake: {
        add: (bytes) => void (state.waitingBytes += bytes),
        remove: (bytes) => void (state.waitingBytes -= bytes)
      },
      turnOf: succession.of(agent, () => state.isOpen),
      isOpen: () => state.isOpen,
      closeTransport: () => {
        state.isOpen = false
        log.push("closed")
      }
    })
    /** Fails with `state` while it is set. */
    const attemptOf = (name: string) =>
      Effect.suspend(() => {
        log.push(`try ${name}`)
        return state.failure === undefined ? Effect.succeed(`stored ${name}`) : Effect.fail(state.failure)
      })
    const send = (name: string, keep: Keep, asksAck = true) =>
      Effect.map(Clock.currentTimeMillis, (arrivedAt) => {
        const handling: Handling = { attempt: attemptOf(name), keep }
        kept.add("event", {
          handling,
          keep,
          bytes: 100,
          reply: asksAck ? (value) => void log.push(value) : undefined,
          refuse: () => void log.push(`refused ${name}`),
          arrivedAt
        })
      })
    const answers = () => log.filter((entry) => !String(entry).startsWith("try"))
    return { answers, fibers, log, send, state }
  })

const settle = Effect.repeatN(Effect.yieldNow(), 20)

describe("KeptEvents", () => {
  it.effect("handles one at a time in order, and drops those that are done", () =>
    Effect.gen(function* () {
      const { log, send, state } = yield* make()
      for (const name of ["a", "b", "c"]) yield* send(name, message)
      yield* settle
      assert.deepStrictEqual(log, ["try a", "stored a", "try b", "stored b", "try c", "stored c"])
      assert.strictEqual(state.waitingBytes, 0)
    })
  )

  it.effect("keeps the place of one whose write cannot be done now, and answers when it is stored", () =>
    Effect.gen(function* () {
      const { answers, send, state } = yield* make()
      const before = yield* outcomes("stored")
      state.failure = busy
      for (const keep of [message, unnamed, update]) yield* send("first", keep)
      yield* send("second", message)
      yield* TestClock.adjust("6 seconds")
      assert.deepStrictEqual(answers(), [])
      assert.strictEqual(yield* valueOf("websocket_held_events"), 1)
      state.failure = undefined
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(answers(), ["stored first", "stored first", "stored first", "stored second"])
      assert.strictEqual(yield* valueOf("websocket_held_events"), 0)
      assert.strictEqual((yield* outcomes("stored")) - before, 1)
    })
  )

  it.effect("stores events of a broken socket before events of the next one", () =>
    Effect.gen(function* () {
      const shared = { log: [], succession: Succession.make() }
      const broken = yield* make(undefined, shared)
      const next = yield* make(undefined, shared)
      broken.state.failure = busy
      yield* broken.send("first", unnamed, false)
      yield* broken.send("second", unnamed, false)
      yield* TestClock.adjust("1 second")
      broken.state.isOpen = false
      yield* next.send("third", unnamed, false)
      yield* TestClock.adjust("5 seconds")
      assert.notInclude(broken.log, "try third")
      broken.state.failure = undefined
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(broken.log.slice(-3), ["try first", "try second", "try third"])
      assert.strictEqual(next.state.waitingBytes, 0)
    })
  )

  it.effect("answers at once when an event can never be stored", () =>
    Effect.gen(function* () {
      const { answers, send, state } = yield* make()
      state.failure = rejected
      for (const keep of [message, unnamed, update]) yield* send("x", keep)
      yield* settle
      assert.deepStrictEqual(answers(), ["refused x", "refused x", "refused x"])
    })
  )

  it.effect("closes the transport under an update after 7 s, and tries none of those behind it", () =>
    Effect.gen(function* () {
      const { answers, log, send, state } = yield* make()
      const before = yield* outcomes("closed")
      state.failure = busy
      yield* send("first", update)
      yield* send("second", update)
      yield* TestClock.adjust("6900 millis")
      assert.deepStrictEqual(answers(), [])
      yield* TestClock.adjust("1100 millis")
      assert.deepStrictEqual(answers(), ["closed"])
      assert.notInclude(log, "try second")
      assert.strictEqual((yield* outcomes("closed")) - before, 2)
      assert.strictEqual(state.waitingBytes, 0)
    })
  )

  it.effect("does not answer a message that its client sends again, and stops if it would be stored twice", () =>
    Effect.gen(function* () {
      const { answers, log, send, state } = yield* make()
      state.failure = busy
      yield* send("unnamed", unnamed)
      yield* TestClock.adjust("8 seconds")
      const tries = log.length
      state.failure = undefined
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(log.length, tries)
      assert.deepStrictEqual(answers(), [])
    })
  )

  it.effect("continues with a message that has a local id after its client has stopped waiting", () =>
    Effect.gen(function* () {
      const { answers, send, state } = yield* make()
      state.failure = busy
      yield* send("named", message)
      yield* TestClock.adjust("30 seconds")
      state.failure = undefined
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(answers(), ["stored named"])
    })
  )

  it.effect("continues with events without an ack for a minute after the disconnect, and counts lost ones", () =>
    Effect.gen(function* () {
      const { log, send, state } = yield* make()
      const before = yield* outcomes("lost")
      state.failure = busy
      yield* send("early", update, false)
      yield* TestClock.adjust("2 minutes")
      state.isOpen = false
      yield* TestClock.adjust("50 seconds")
      state.failure = undefined
      yield* TestClock.adjust("1 second")
      assert.strictEqual(log.at(-1), "try early")
      assert.strictEqual((yield* outcomes("lost")) - before, 0)
      state.failure = busy
      yield* send("late", message, false)
      yield* TestClock.adjust("62 seconds")
      assert.strictEqual((yield* outcomes("lost")) - before, 1)
      assert.strictEqual(state.waitingBytes, 0)
    })
  )

  it.effect("counts waiting events without an ack as lost when the server stops", () =>
    Effect.gen(function* () {
      const { fibers, send, state } = yield* make()
      const before = yield* outcomes("lost")
      state.failure = busy
      yield* send("a", message, false)
      yield* send("b", message, true)
      yield* send("c", message, false)
      yield* settle
      yield* Fiber.interruptAll(fibers)
      assert.strictEqual((yield* outcomes("lost")) - before, 2)
      assert.strictEqual(state.waitingBytes, 0)
    })
  )

  it.effect("waits for the budget of the account instead of refusing", () =>
    Effect.gen(function* () {
      const { answers, send } = yield* make(EventBudget.make({ perSecond: 1, burst: 1 }, 0))
      for (const name of ["a", "b"]) yield* send(name, message)
      yield* settle
      assert.deepStrictEqual(answers(), ["stored a"])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(answers(), ["stored a", "stored b"])
    })
  )

  it.effect("stores waiting events with one write, and one by one when that fails", () =>
    Effect.gen(function* () {
      const { answers, log, send, state } = yield* make()
      let isWhole = true
      const batching: Keep = {
        ...message,
        attemptAll: (handlings) =>
          Effect.suspend(() => {
            log.push(`try ${handlings.length}`)
            return isWhole ? Effect.succeed(handlings.map((_, index) => `together ${index}`)) : Effect.fail(busy)
          })
      }
      /** The first one is held while the others arrive. */
      const sendFour = Effect.gen(function* () {
        state.failure = busy
        for (const name of ["a", "b", "c", "d"]) yield* send(name, batching)
        assert.isAbove(state.waitingBytes, 400)
        state.failure = undefined
        log.length = 0
        yield* TestClock.adjust("1 second")
      })
      yield* sendFour
      assert.deepStrictEqual(log, ["try a", "stored a", "try 3", "together 0", "together 1", "together 2"])
      isWhole = false
      yield* sendFour
      assert.deepStrictEqual(answers(), ["stored a", "stored b", "stored c", "stored d"])
      assert.strictEqual(log.filter((entry) => entry === "try 3").length, 1)
    })
  )

  it.effect("refuses an event whose handler dies, and goes on with the next", () =>
    Effect.gen(function* () {
      const { log, send } = yield* make()
      const dying: Keep = { ...message, attemptAll: () => Effect.dieMessage("on purpose") }
      yield* send("a", dying)
      yield* send("b", dying)
      yield* settle
      assert.deepStrictEqual(log, ["try a", "stored a", "try b", "stored b"])
    })
  )
})
