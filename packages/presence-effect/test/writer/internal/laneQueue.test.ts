import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as LaneQueue from "../../../src/writer/internal/laneQueue.ts"
import * as Lane from "../../../src/writer/Lane.ts"

const order = [Lane.control, Lane.data, Lane.presence, Lane.maintenance]

interface Ticket {
  readonly lane: Lane.Lane
  readonly number: number
}

const make = (laneCount: number, bypassLimit: number, capacity = 1_000) =>
  LaneQueue.make<Ticket>(
    order.slice(0, laneCount).map((lane) => ({ lane, capacity })),
    bypassLimit
  )

type Step =
  | { readonly _tag: "Enter"; readonly lane: number; readonly count: number }
  | { readonly _tag: "Leave"; readonly pick: number }
  | { readonly _tag: "Next"; readonly count: number }
  | { readonly _tag: "Take"; readonly lane: number; readonly limit: number }

const steps = FastCheck.array(
  FastCheck.oneof(
    {
      weight: 4,
      arbitrary: FastCheck.record({
        _tag: FastCheck.constant("Enter" as const),
        lane: FastCheck.nat(3),
        count: FastCheck.integer({ min: 1, max: 6 })
      })
    },
    {
      weight: 1,
      arbitrary: FastCheck.record({ _tag: FastCheck.constant("Leave" as const), pick: FastCheck.nat(1_000) })
    },
    {
      weight: 4,
      arbitrary: FastCheck.record({
        _tag: FastCheck.constant("Next" as const),
        count: FastCheck.integer({ min: 1, max: 10 })
      })
    },
    {
      weight: 1,
      arbitrary: FastCheck.record({
        _tag: FastCheck.constant("Take" as const),
        lane: FastCheck.nat(3),
        limit: FastCheck.nat(3)
      })
    }
  ),
  { minLength: 5, maxLength: 120 }
)

/** Runs a history beside plain lists, and passes the waiters at each grant to `onGrant`. */
const play = (
  history: ReadonlyArray<Step>,
  laneCount: number,
  bypassLimit: number,
  onGrant: (turn: { readonly granted: number; readonly waiting: ReadonlyArray<number> }) => void,
  onEmpty: (lane: number) => void = () => undefined
) => {
  const queue = make(laneCount, bypassLimit)
  const waiting = order.slice(0, laneCount).map((): Array<Ticket> => [])
  const at = (lane: number): Array<Ticket> => waiting[lane % laneCount] ?? []
  const laneAt = (lane: number): Lane.Lane => order[lane % laneCount] ?? Lane.control
  let number = 0
  const shrunk = (lane: number) => {
    if (at(lane).length === 0) onEmpty(lane % laneCount)
  }
  for (const step of history) {
    if (step._tag === "Enter") {
      for (let count = 0; count < step.count; count++) {
        const ticket = { lane: laneAt(step.lane), number: number++ }
        assert.isTrue(queue.enter(ticket.lane, ticket))
        at(step.lane).push(ticket)
      }
    } else if (step._tag === "Leave") {
      const all = waiting.flat()
      const ticket = all[step.pick % Math.max(1, all.length)]
      if (ticket === undefined) continue
      const lane = order.indexOf(ticket.lane)
      assert.isTrue(queue.leave(ticket.lane, ticket))
      assert.isFalse(queue.leave(ticket.lane, ticket))
      at(lane).splice(at(lane).indexOf(ticket), 1)
      shrunk(lane)
    } else if (step._tag === "Take") {
      const taken = queue.takeWhile(laneAt(step.lane), step.limit, ({ number }) => number % 3 !== 0)
      const expected: Array<Ticket> = []
      for (const ticket of at(step.lane)) {
        if (expected.length >= step.limit || ticket.number % 3 === 0) break
        expected.push(ticket)
      }
      assert.deepStrictEqual(taken, expected)
      at(step.lane).splice(0, taken.length)
      shrunk(step.lane)
    } else {
      for (let count = 0; count < step.count; count++) {
        const occupied = waiting.flatMap((lane, index) => (lane.length > 0 ? [index] : []))
        const ticket = queue.next()
        if (ticket === undefined) {
          assert.deepStrictEqual(occupied, [], "nobody was served while somebody waited")
          break
        }
        const granted = order.indexOf(ticket.lane)
        onGrant({ granted, waiting: occupied })
        assert.strictEqual(at(granted).shift(), ticket, "served out of the order of arrival within its lane")
        shrunk(granted)
      }
    }
    for (const [index, lane] of waiting.entries()) assert.strictEqual(queue.waiterCount(laneAt(index)), lane.length)
  }
}

const setting = { laneCount: FastCheck.integer({ min: 1, max: 4 }), bypassLimit: FastCheck.integer({ min: 1, max: 6 }) }

describe("laneQueue", () => {
  it("serves strictly in the order of its lanes, first come first served within one, while no lane is overdue", () => {
    FastCheck.assert(
      FastCheck.property(steps, setting.laneCount, (history, laneCount) => {
        play(history, laneCount, 1_000_000, ({ granted, waiting }) => assert.strictEqual(granted, waiting[0]))
      }),
      { numRuns: 300 }
    )
  })

  it("never passes over a waiting lane more than bypassLimit + 2 * (lanes - 1) times", () => {
    FastCheck.assert(
      FastCheck.property(steps, setting.laneCount, setting.bypassLimit, (history, laneCount, bypassLimit) => {
        const passedOver = order.map(() => 0)
        play(
          history,
          laneCount,
          bypassLimit,
          ({ granted, waiting }) => {
            passedOver[granted] = 0
            for (const lane of waiting) {
              if (lane <= granted) continue
              passedOver[lane] = (passedOver[lane] ?? 0) + 1
              assert.isAtMost(passedOver[lane], bypassLimit + 2 * (laneCount - 1), `lane ${order[lane]}`)
            }
          },
          (lane) => {
            passedOver[lane] = 0
          }
        )
      }),
      { numRuns: 1_000 }
    )
  })

  it("never gives two turns in a row to a lane below a waiting one", () => {
    FastCheck.assert(
      FastCheck.property(steps, setting.laneCount, setting.bypassLimit, (history, laneCount, bypassLimit) => {
        let wasLate = false
        play(history, laneCount, bypassLimit, ({ granted, waiting }) => {
          const isLate = granted !== waiting[0]
          assert.isFalse(wasLate && isLate, "two overdue turns in a row")
          wasLate = isLate
        })
      }),
      { numRuns: 1_000 }
    )
  })

  it("gives the lowest lane its turn after exactly bypassLimit grants, whatever pours in above", () => {
    const queue = make(4, 16)
    queue.enter(Lane.maintenance, { lane: Lane.maintenance, number: 0 })
    const served: Array<Lane.Lane | undefined> = []
    for (let number = 1; number <= 40; number++) {
      queue.enter(Lane.control, { lane: Lane.control, number })
      served.push(queue.next()?.lane)
    }
    assert.strictEqual(served.indexOf(Lane.maintenance), 16)
    assert.strictEqual(served.lastIndexOf(Lane.maintenance), 16)
  })

  it("resets how often a lane was passed over once it is empty", () => {
    const queue = make(2, 2)
    const patient = { lane: Lane.data, number: 0 }
    const grant = (number: number) => {
      queue.enter(Lane.control, { lane: Lane.control, number })
      return queue.next()?.lane
    }
    queue.enter(Lane.data, patient)
    assert.deepStrictEqual([grant(1), grant(2)], [Lane.control, Lane.control])
    assert.isTrue(queue.leave(Lane.data, patient))
    queue.enter(Lane.data, { lane: Lane.data, number: 3 })
    assert.deepStrictEqual([grant(4), grant(5), grant(6)], [Lane.control, Lane.control, Lane.data])
  })

  it("refuses at its capacity, each lane for itself, and takes one again after one has left", () => {
    const queue = make(2, 4, 2)
    const tickets = [0, 1, 2].map((number) => ({ lane: Lane.data, number }))
    assert.deepStrictEqual(
      tickets.map((ticket) => queue.enter(Lane.data, ticket)),
      [true, true, false]
    )
    assert.isTrue(queue.enter(Lane.control, { lane: Lane.control, number: 3 }))
    assert.strictEqual(queue.capacity(Lane.data), 2)
    assert.strictEqual(queue.waiterCount(Lane.data), 2)
    assert.isTrue(queue.leave(Lane.data, tickets[0] ?? { lane: Lane.data, number: -1 }))
    assert.isTrue(queue.enter(Lane.data, { lane: Lane.data, number: 4 }))
  })

  it("empties every lane at once, in serving order", () => {
    const queue = make(3, 4)
    for (const [number, lane] of [Lane.presence, Lane.control, Lane.data, Lane.control].entries()) {
      queue.enter(lane, { lane, number })
    }
    assert.deepStrictEqual(
      queue.takeAll().map(({ number }) => number),
      [1, 3, 2, 0]
    )
    assert.isUndefined(queue.next())
    assert.deepStrictEqual(queue.takeAll(), [])
  })

  it("names the lanes that exist when asked for another", () => {
    assert.throws(() => make(2, 4).waiterCount(Lane.presence), /no lane presence, only control, data/)
  })
})
