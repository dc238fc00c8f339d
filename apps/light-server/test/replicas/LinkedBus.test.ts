import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope, TestClock } from "effect"
import * as LinkedBus from "../../src/replicas/LinkedBus.ts"
import { arrived, makeHub, until } from "./TwoReplicas.ts"

const three = Effect.gen(function* () {
  const hub = makeHub()
  const scope = yield* Scope.make()
  const a = yield* LinkedBus.make(hub.link("a"))
  const b = yield* LinkedBus.make(hub.link("b"))
  const c = yield* Scope.extend(LinkedBus.make(hub.link("c")), scope)
  yield* until(() => a.others().length === 2)
  return { hub, a, b, c, endC: Scope.close(scope, Exit.void) }
})

describe("LinkedBus", () => {
  it.scoped("knows the others, and at once when one ends", () =>
    Effect.gen(function* () {
      const { a, endC } = yield* three
      const changes: Array<string> = []
      yield* a.onChange((name, change) => void changes.push(`${name} ${change}`))
      assert.sameMembers([...a.others()], ["b", "c"])
      yield* endC
      yield* arrived
      assert.deepStrictEqual(a.others(), ["b"])
      assert.deepStrictEqual(changes, ["c gone"])
    })
  )

  it.scoped("sends to one or to all others, in order, and bytes stay bytes", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* three
      const got: Array<unknown> = []
      for (const [name, bus] of [
        ["b", b],
        ["c", c],
        ["a", a]
      ] as const) {
        yield* bus.listen("t", (body, from) => void got.push([name, from, body]))
      }
      a.send("t", { n: 1, bytes: new Uint8Array([1, 2]), nothing: undefined }, "b")
      a.send("t", 2)
      a.send("other", 3)
      yield* arrived
      assert.sameDeepMembers(got, [
        ["b", "a", { n: 1, bytes: new Uint8Array([1, 2]) }],
        ["b", "a", 2],
        ["c", "a", 2]
      ])
    })
  )

  it.scoped("has the answers of all, or of those that answer in time, or are not gone", () =>
    Effect.gen(function* () {
      const { a, b, c, hub } = yield* three
      yield* b.answer("q", (body) => `b ${String(body)}`)
      yield* c.answer("q", (body) => `c ${String(body)}`)
      const all = yield* a.ask("q", 1, 300)
      assert.sameDeepMembers(
        [...all],
        [
          { from: "b", body: "b 1" },
          { from: "c", body: "c 1" }
        ]
      )
      hub.cut("c", false)
      const asked = yield* Effect.fork(a.ask("q", 2, 300))
      yield* arrived
      assert.isNull(asked.unsafePoll())
      yield* TestClock.adjust("300 millis")
      assert.deepStrictEqual(yield* Fiber.join(asked), [{ from: "b", body: "b 2" }])
      const patient = yield* Effect.fork(a.ask("q", 3, 60_000))
      yield* arrived
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(patient), [{ from: "b", body: "b 3" }])
    })
  )

  it.scoped("ignores what it does not understand", () =>
    Effect.gen(function* () {
      const { a, hub } = yield* three
      const stranger = hub.link("x")
      for (const bytes of [[], [0xc1], [0x93, 1, 2, 3], [0x80]]) stranger.send(new Uint8Array(bytes), "a")
      yield* arrived
      assert.sameMembers([...a.others()], ["b", "c"])
    })
  )
})
