/** Large reads of one account, a few at a time. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { setImmediate as turn } from "node:timers/promises"
import { Authenticator } from "../../src/door/Authenticator.ts"
import * as HeavyTurns from "../../src/http/HeavyTurns.ts"
import * as HttpApp from "../../src/http/HttpApp.ts"
import * as OutgoingBytes from "../../src/http/OutgoingBytes.ts"

describe("turns", () => {
  it("are taken in the order of coming, so many of a key at once", async () => {
    const turns = HeavyTurns.make(2)
    const begun: Array<string> = []
    const take = (key: string, name: string) => turns.take(key, () => void begun.push(name))
    const [first, , third, , fifth] = ["a1", "a2", "a3", "a4", "a5"].map((name) => take("a", name))
    take("b", "b1")
    assert.deepStrictEqual(begun, ["a1", "a2", "b1"])
    // A caller may leave while it waits; leaving twice releases one turn.
    third?.()
    first?.()
    first?.()
    await turn()
    assert.deepStrictEqual(begun, ["a1", "a2", "b1", "a4"])
    fifth?.()
  })

  it("go on after one that left before it began", async () => {
    const turns = HeavyTurns.make(1)
    const begun: Array<string> = []
    const first = turns.take("a", () => {})
    const second = turns.take("a", () => void begun.push("second"))
    turns.take("a", () => void begun.push("third"))
    first()
    // It has its turn already, and is notified in the next turn of the event loop.
    second()
    await turn()
    await turn()
    assert.deepStrictEqual(begun, ["third"])
  })
})

describe("large reads", () => {
  const limits = { ...OutgoingBytes.defaults, heavyReads: 2 }

  /** A route whose reads stay open until they are released, and the most that were open at once. */
  const makeApp = (heavyWaitMillis: number) => {
    const open: Array<() => void> = []
    let most = 0
    const Anybody = Layer.succeed(Authenticator, { verify: (token) => Effect.succeed(token) })
    const layer = Layer.effectDiscard(
      Effect.flatMap(HttpApp.HttpApp, (http) =>
        http.register((app) => {
          app.get("/heavy", { config: { priority: "heavy" }, onRequest: http.authenticate }, async () => {
            await new Promise<void>((resolve) => {
              open.push(resolve)
              most = Math.max(most, open.length)
            })
            return {}
          })
        })
      )
    ).pipe(Layer.provideMerge(HttpApp.layer({ outgoing: { ...limits, heavyWaitMillis } }).pipe(Layer.provide(Anybody))))
    return { layer, open, most: () => most }
  }

  const read = (account: string) =>
    Effect.flatMap(HttpApp.HttpApp, ({ fastify }) =>
      Effect.promise(() => fastify.inject({ url: "/heavy", headers: { authorization: `Bearer ${account}` } }))
    )

  const until = (isSo: () => boolean) =>
    Effect.promise(async () => {
      while (!isSo()) await turn()
    })

  it.scoped("of an account wait for each other, and not for those of another one", () => {
    const app = makeApp(60_000)
    return Effect.gen(function* () {
      const reads = yield* Effect.forEach(["a", "a", "a", "b"], (account) => Effect.fork(read(account)))
      yield* until(() => app.open.length === 3)
      let done = 0
      for (const fiber of reads) fiber.addObserver(() => (done += 1))
      while (done < reads.length) {
        app.open.shift()?.()
        yield* Effect.promise(() => turn())
      }
      assert.strictEqual(app.most(), 3)
      for (const fiber of reads) assert.strictEqual((yield* fiber).statusCode, 200)
    }).pipe(Effect.provide(app.layer))
  })

  it.scopedLive("that wait for too long are refused with Retry-After, and leave the queue", () => {
    const app = makeApp(200)
    return Effect.gen(function* () {
      const held = yield* Effect.forEach(["a", "a"], (account) => Effect.fork(read(account)))
      yield* until(() => app.open.length === 2)
      const refused = yield* read("a")
      assert.strictEqual(refused.statusCode, 503)
      assert.isAbove(Number(refused.headers["retry-after"]), 0)
      for (const letGo of app.open.splice(0)) letGo()
      for (const fiber of held) assert.strictEqual((yield* fiber).statusCode, 200)
      const next = yield* Effect.fork(read("a"))
      yield* until(() => app.open.length === 1)
      app.open[0]?.()
      assert.strictEqual((yield* next).statusCode, 200)
    }).pipe(Effect.provide(app.layer))
  })
})
