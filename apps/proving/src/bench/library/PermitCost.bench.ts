/**
 * T10: the permit with lanes beside a plain semaphore of Effect.
 *
 * Uncontended, the cost of a permit that has no other waiters; and which waiter
 * is served first when a control write arrives behind a thousand presence
 * writes.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Lane from "presence-effect/writer/Lane"
import * as LaneSemaphore from "presence-effect/writer/LaneSemaphore"
import type { Question } from "../Result.ts"
import * as Rounds from "../Rounds.ts"

const callCount = 20_000
const waiterCount = 1_000

const lanes = [Lane.control, Lane.presence].map((lane) => ({ lane, capacity: waiterCount + 1 }))

/** Runs an effect under a permit. */
type Hold = <A>(lane: Lane.Lane, self: Effect.Effect<A>) => Effect.Effect<A, unknown>

const microsPerCall = async (hold: Hold): Promise<number> => {
  const held = hold(Lane.control, Effect.void)
  const calls = Effect.gen(function* () {
    for (let count = 0; count < callCount; count++) yield* held
  })
  const began = performance.now()
  await Effect.runPromise(calls)
  return ((performance.now() - began) * 1_000) / callCount
}

/** The turn, counted from one, in which the last to arrive, the only one in the control lane, is served. */
const turnOfControl = (hold: Hold): Promise<number> =>
  Effect.runPromise(
    Effect.gen(function* () {
      const order: Array<Lane.Lane> = []
      const body = (lane: Lane.Lane) =>
        Effect.zipRight(
          Effect.sync(() => order.push(lane)),
          Effect.sleep(0)
        )
      const gate = yield* Effect.makeLatch()
      const holder = yield* Effect.fork(hold(Lane.presence, gate.await))
      yield* Effect.sleep(1)
      const waiters = yield* Effect.forEach(Array.from({ length: waiterCount }), () =>
        Effect.fork(hold(Lane.presence, body(Lane.presence)))
      )
      yield* Effect.sleep(1)
      const control = yield* Effect.fork(hold(Lane.control, body(Lane.control)))
      yield* Effect.sleep(1)
      yield* gate.open
      yield* Fiber.joinAll([holder, control])
      yield* Fiber.interruptAll(waiters)
      return order.indexOf(Lane.control) + 1
    })
  )

export const question: Question = async (report) => {
  const laned = await Effect.runPromise(LaneSemaphore.make({ lanes, bypassLimit: 16 }))
  const plain = await Effect.runPromise(Effect.makeSemaphore(1))
  const ours: Hold = (lane, self) => laned.withPermit(lane)(self)
  const theirs: Hold = (_, self) => plain.withPermits(1)(self)

  const { ratio, sides } = await Rounds.measure(25, {
    ours: () => microsPerCall(ours),
    plain: () => microsPerCall(theirs)
  })
  report({
    id: "T10@uncontended",
    ours: sides.ours.median,
    theirs: sides.plain.median,
    unit: "us",
    ratio: ratio("ours", "plain"),
    target: "ratio <= 1.5",
    met: ratio("ours", "plain") <= 1.5,
    note: `${Rounds.spread(sides.ours)} against ${Rounds.spread(sides.plain)}`
  })

  const ourTurn = await turnOfControl(ours)
  const theirTurn = await turnOfControl(theirs)
  report({
    id: `T10@${waiterCount}`,
    ours: ourTurn,
    theirs: theirTurn,
    unit: "turn",
    ratio: theirTurn / ourTurn,
    target: "control is served first",
    met: ourTurn === 1
  })
}
