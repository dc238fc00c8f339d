import { assert, describe, it } from "@effect/vitest"
import * as Scenario from "../src/Scenario.ts"
import * as Workload from "../src/Workload.ts"

const terms = { sessionCount: 9, seconds: 60, seed: 7, hasForeignLock: true }

const countOf = (workload: Workload.Workload, kind: Workload.Arrival["kind"]): number =>
  workload.arrivals.filter((arrival) => arrival.kind === kind).length

describe("Workload", () => {
  it("is the same for the same seed", () => {
    assert.deepStrictEqual(Workload.make(terms), Workload.make(terms))
  })

  it("is another one for another seed", () => {
    assert.notDeepEqual(Workload.make(terms).arrivals, Workload.make({ ...terms, seed: 8 }).arrivals)
  })

  it("comes in the order of time, for as long as the load lasts", () => {
    const times = Workload.make(terms).arrivals.map(({ atMillis }) => atMillis)
    assert.deepStrictEqual(
      times,
      times.toSorted((left, right) => left - right)
    )
    assert.isBelow(times.at(-1) ?? 0, Scenario.loadMillis(terms))
    assert.isAbove(times.at(-1) ?? 0, terms.seconds * 1_000)
  })

  it("has the rates it says", () => {
    const long = { ...terms, seconds: 3_590 }
    const workload = Workload.make(long)
    const millis = Scenario.loadMillis(long)
    const expected = {
      registration: millis / Scenario.registrationEveryMillis,
      message: (9 * millis) / Scenario.messageEveryMillis,
      report: (9 * millis) / Scenario.reportEveryMillis
    }
    // Four standard deviations of a Poisson count.
    for (const [kind, count] of Object.entries(expected)) {
      assert.approximately(countOf(workload, kind as Workload.Arrival["kind"]), count, 4 * Math.sqrt(count), kind)
    }
  })

  it("does not change what comes already when a session is added, and adds only presence from nine on", () => {
    const ids = (sessionCount: number) =>
      new Set(Workload.make({ ...terms, sessionCount }).arrivals.map(({ atMillis, id }) => `${id} ${atMillis}`))
    const [six, seven, nine, many] = [ids(6), ids(7), ids(9), ids(500)]
    assert.isTrue([...six].every((one) => seven.has(one)))
    assert.isAbove(seven.size, six.size)
    assert.deepStrictEqual(many, nine)
    assert.strictEqual(Workload.make({ ...terms, sessionCount: 500 }).sessions.length, 500)
  })

  it("takes the foreign lock one time after the other, and only when asked", () => {
    const { foreignHolds } = Workload.make(terms)
    assert.isAbove(foreignHolds.length, 5)
    for (const [index, hold] of foreignHolds.entries()) {
      const before = foreignHolds[index - 1]
      if (before !== undefined) assert.isAbove(hold.atMillis, before.atMillis + before.holdMillis)
    }
    assert.deepStrictEqual(Workload.make({ ...terms, hasForeignLock: false }).foreignHolds, [])
  })
})
