import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Lane from "../../src/writer/Lane.ts"
import * as LaneSemaphore from "../../src/writer/LaneSemaphore.ts"

const order = [Lane.control, Lane.data, Lane.presence, Lane.maintenance]
const policy = (capacity = 64, bypassLimit = 4) => ({
  lanes: order.map((lane) => ({ lane, capacity })),
  bypassLimit
})

/** Lets every runnable fiber reach its next suspension. No clock is involved. */
const settle = Effect.yieldNow().pipe(Effect.repeatN(32))

/** Holds the permit until the gate opens. */
const holdUntil = (lanes: LaneSemaphore.LaneSemaphore, gate: Deferred.Deferred<void>, lane = Lane.control) =>
  Effect.fork(lanes.withPermit(lane)(Deferred.await(gate))).pipe(Effect.tap(settle))

describe("LaneSemaphore", () => {
  it.effect("serves a control waiter before every waiting presence write", () =>
    Effect.gen(function* () {
      const lanes = yield* LaneSemaphore.make(policy())
      const gate = yield* Deferred.make<void>()
      const served: Array<string> = []
      const mark = (lane: Lane.Lane, name: string) => lanes.withPermit(lane)(Effect.sync(() => served.push(name)))
      yield* holdUntil(lanes, gate)
      const presence = yield* Effect.forkAll([1, 2, 3].map((n) => mark(Lane.presence, `presence ${n}`)))
      const control = yield* Effect.forkAll([1, 2].map((n) => mark(Lane.control, `control ${n}`)))
      yield* settle
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(presence)
      yield* Fiber.join(control)
      assert.deepStrictEqual(served, ["control 1", "control 2", "presence 1", "presence 2", "presence 3"])
    })
  )

  it.effect("is not barged: a fiber that takes the permit in a loop lets the waiter go first", () =>
    Effect.gen(function* () {
      const lanes = yield* LaneSemaphore.make(policy())
      const served: Array<string> = []
      const row = (n: number) =>
        lanes.withPermit(Lane.presence)(
          Effect.zipRight(
            Effect.yieldNow(),
            Effect.sync(() => served.push(`row ${n}`))
          )
        )
      const loop = yield* Effect.fork(Effect.forEach([1, 2, 3, 4, 5, 6, 7, 8, 9], row, { discard: true }))
      yield* Effect.yieldNow()
      yield* lanes.withPermit(Lane.control)(Effect.sync(() => served.push("control")))
      yield* Fiber.join(loop)
      assert.isAtMost(served.indexOf("control"), 1)
    })
  )

  it.effect("refuses at once when the lane is full, naming the lane, its waiters and its capacity", () =>
    Effect.gen(function* () {
      const lanes = yield* LaneSemaphore.make(policy(2))
      const gate = yield* Deferred.make<void>()
      yield* holdUntil(lanes, gate)
      const waiting = yield* Effect.forkAll([1, 2].map(() => lanes.withPermit(Lane.data)(Effect.void)))
      yield* settle
      const error = yield* Effect.flip(lanes.withPermit(Lane.data)(Effect.void))
      assert.deepInclude(error, { _tag: "LaneOverflow", lane: Lane.data, waiterCount: 2, capacity: 2 })
      assert.strictEqual(lanes.waiterCount(Lane.control), 0)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(waiting)
    })
  )

  it.effect("lets a waiter that is interrupted leave its queue", () =>
    Effect.gen(function* () {
      const lanes = yield* LaneSemaphore.make(policy(1))
      const gate = yield* Deferred.make<void>()
      yield* holdUntil(lanes, gate)
      const waiter = yield* Effect.fork(lanes.withPermit(Lane.data)(Effect.void))
      yield* settle
      assert.strictEqual(lanes.waiterCount(Lane.data), 1)
      yield* Fiber.interrupt(waiter)
      assert.strictEqual(lanes.waiterCount(Lane.data), 0)
      yield* Deferred.succeed(gate, undefined)
      yield* lanes.withPermit(Lane.data)(Effect.void)
    })
  )

  it.effect("takes the permit back from a holder that fails, dies or is interrupted", () =>
    Effect.gen(function* () {
      const lanes = yield* LaneSemaphore.make(policy())
      yield* Effect.exit(lanes.withPermit(Lane.control)(Effect.fail("no")))
      yield* Effect.exit(lanes.withPermit(Lane.control)(Effect.die("no")))
      const holder = yield* Effect.fork(lanes.withPermit(Lane.control)(Effect.never))
      yield* settle
      assert.isTrue(lanes.isHeld())
      yield* Fiber.interrupt(holder)
      assert.isFalse(lanes.isHeld())
    })
  )

  it.effect("gives every lane its turn within bypassLimit grants however busy the higher lanes are", () =>
    Effect.gen(function* () {
      const lanes = yield* LaneSemaphore.make(policy(64, 4))
      const gate = yield* Deferred.make<void>()
      yield* holdUntil(lanes, gate)
      const served: Array<Lane.Lane> = []
      const mark = (lane: Lane.Lane) => lanes.withPermit(lane)(Effect.sync(() => served.push(lane)))
      const low = yield* Effect.forkAll([Lane.presence, Lane.maintenance, Lane.presence].map(mark))
      const high = yield* Effect.forkAll(Array.from({ length: 40 }, () => mark(Lane.control)))
      yield* settle
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(low)
      yield* Fiber.join(high)
      const turns = served.flatMap((lane, index) => (lane === Lane.control ? [] : [index]))
      assert.deepStrictEqual(turns, [4, 6, 11])
      assert.deepStrictEqual(
        turns.map((index) => served[index]),
        [Lane.maintenance, Lane.presence, Lane.presence]
      )
    })
  )

  it.effect("sends its waiters away and refuses newcomers once closed, and lets the holder finish", () =>
    Effect.gen(function* () {
      const lanes = yield* LaneSemaphore.make(policy())
      const gate = yield* Deferred.make<void>()
      const holder = yield* holdUntil(lanes, gate)
      const waiter = yield* Effect.fork(lanes.withPermit(Lane.data)(Effect.void))
      yield* settle
      yield* lanes.close
      assert.strictEqual((yield* Effect.flip(Fiber.join(waiter)))._tag, "WriterClosed")
      assert.strictEqual((yield* Effect.flip(lanes.withPermit(Lane.control)(Effect.void)))._tag, "WriterClosed")
      yield* Deferred.succeed(gate, undefined)
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(holder)))
      assert.isFalse(lanes.isHeld())
    })
  )

  it.effect("names the lanes that exist when asked for one that does not, the permit free or held", () =>
    Effect.gen(function* () {
      const lanes = yield* LaneSemaphore.make(policy())
      const missing = Effect.exit(lanes.withPermit(Lane.make("replication"))(Effect.void))
      const free = yield* missing
      yield* Effect.fork(lanes.withPermit(Lane.control)(Effect.never))
      yield* settle
      for (const exit of [free, yield* missing]) {
        assert.include(String(Exit.isFailure(exit) ? exit.cause : ""), "no lane replication, only control, data")
      }
    })
  )

  for (const holderLane of order) {
    for (const waiterLane of order) {
      it.effect(`never loses the permit, wherever a ${waiterLane} waiter behind ${holderLane} is interrupted`, () =>
        Effect.gen(function* () {
          const lanes = yield* LaneSemaphore.make(policy())
          for (let budget = 10; budget <= 64; budget += 3) {
            for (let turns = 0; turns <= 8; turns++) {
              const gate = yield* Deferred.make<void>()
              yield* holdUntil(lanes, gate, holderLane)
              // A small op budget makes the fiber yield between almost any two steps, so the sweep
              // visits windows a plain run jumps over.
              const waiter = yield* lanes
                .withPermit(waiterLane)(Effect.void)
                .pipe(Effect.withMaxOpsBeforeYield(budget), Effect.fork)
              yield* settle
              yield* Deferred.succeed(gate, undefined)
              yield* Effect.repeatN(Effect.yieldNow(), turns)
              yield* Fiber.interrupt(waiter)
              const next = yield* Effect.fork(lanes.withPermit(Lane.control)(Effect.void))
              yield* settle
              assert.isNotNull(next.unsafePoll(), `permit lost: budget ${budget}, turns ${turns}`)
              assert.isFalse(lanes.isHeld())
            }
          }
        })
      )
    }
  }

  it.effect("never lets two bodies in and never strands a waiter, whatever arrives, leaves or fails", () =>
    Effect.promise(() =>
      FastCheck.assert(
        FastCheck.asyncProperty(
          FastCheck.array(
            FastCheck.record({
              lane: FastCheck.constantFrom(...order),
              work: FastCheck.nat(6),
              budget: FastCheck.integer({ min: 13, max: 80 }),
              ending: FastCheck.constantFrom("succeed", "fail", "die", "interrupt"),
              interruptAfter: FastCheck.nat(30)
            }),
            { minLength: 1, maxLength: 30 }
          ),
          (jobs) =>
            Effect.runPromise(
              Effect.gen(function* () {
                const lanes = yield* LaneSemaphore.make(policy(1_000, 3))
                let inside = 0
                const fibers = yield* Effect.forEach(jobs, (job) =>
                  lanes
                    .withPermit(job.lane)(
                      Effect.acquireUseRelease(
                        Effect.sync(() => assert.strictEqual(++inside, 1, "two bodies hold the permit")),
                        () =>
                          Effect.repeatN(Effect.yieldNow(), job.work).pipe(
                            Effect.zipRight(
                              job.ending === "fail"
                                ? Effect.fail("no")
                                : job.ending === "die"
                                  ? Effect.die("no")
                                  : Effect.void
                            )
                          ),
                        () => Effect.sync(() => inside--)
                      )
                    )
                    .pipe(Effect.withMaxOpsBeforeYield(job.budget), Effect.fork)
                )
                yield* Effect.forEach(
                  fibers,
                  (fiber, index) =>
                    jobs[index]?.ending === "interrupt"
                      ? Effect.repeatN(Effect.yieldNow(), jobs[index].interruptAfter).pipe(
                          Effect.zipRight(Fiber.interrupt(fiber))
                        )
                      : Fiber.await(fiber),
                  { concurrency: "unbounded" }
                )
                assert.isFalse(lanes.isHeld())
                yield* lanes.withPermit(Lane.maintenance)(Effect.void)
              })
            )
        ),
        { numRuns: 150 }
      )
    )
  )
})
