import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as CostLimiter from "../../src/door/CostLimiter.ts"
import * as ConnectionSlots from "../../src/realtime/arrival/ConnectionSlots.ts"
import * as RealtimeOptions from "../../src/realtime/RealtimeOptions.ts"
import { limitShare, type ReplicaBus, Replicas } from "../../src/replicas/ReplicaBus.ts"

/** The share of a replica beside so many others. */
const shareBeside = (count: () => number) =>
  Effect.gen(function* () {
    const alone = yield* Replicas
    const others = () => Array.from({ length: count() }, (_, index) => `r${index}`)
    const bus: ReplicaBus = { ...alone, isAlone: false, others }
    const share = yield* Effect.provideService(limitShare, Replicas, bus)
    return share ?? assert.fail("no share")
  })

describe("the share of a replica", () => {
  it.effect("does not exist without other replicas", () =>
    Effect.gen(function* () {
      assert.isUndefined(yield* limitShare)
    })
  )

  it.effect("is what is left of a limit, a quarter at least, and zero stays without a limit", () =>
    Effect.gen(function* () {
      const shares = yield* Effect.forEach([0, 1, 2, 3, 9], (count) => shareBeside(() => count))
      assert.deepStrictEqual(
        shares.map((share) => share(100)),
        [100, 50, 34, 25, 25]
      )
      assert.strictEqual(shares[1]?.(0), 0)
    })
  )

  it.effect("applies to points and to sockets of an account, from the moment when another replica joins", () =>
    Effect.gen(function* () {
      let count = 0
      const shareOf = yield* shareBeside(() => count)
      const limiter = CostLimiter.make({ points: 4, windowMillis: 60_000, keyCapacity: 10, shareOf })
      const taken = (key: string) =>
        Effect.map(
          Effect.promise(() => limiter.take(key)),
          ({ refusal }) => refusal === undefined
        )
      const slots = ConnectionSlots.make({ ...RealtimeOptions.defaults, accountSocketLimit: 4 }, shareOf)
      assert.deepStrictEqual([yield* taken("k"), yield* taken("k"), yield* taken("k")], [true, true, true])
      count = 1
      assert.deepStrictEqual(
        [yield* taken("k"), yield* taken("l"), yield* taken("l"), yield* taken("l")],
        [false, true, true, false]
      )
      assert.isDefined(slots.take("a", 0))
      assert.isDefined(slots.take("a", 0))
      assert.isUndefined(slots.take("a", 0))
      count = 0
      assert.isDefined(slots.take("a", 0))
    })
  )
})
