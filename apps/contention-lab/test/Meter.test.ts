import { assert, describe, it } from "@effect/vitest"
import * as Meter from "../src/Meter.ts"
import * as Verdict from "../src/Verdict.ts"

describe("Meter", () => {
  it("counts from the intended arrival, so a stall shows in every machine that arrived meanwhile", () => {
    const meter = Meter.make()
    // One every 25 ms; the writer stands still from 1 s to 3 s and then answers all of them at once.
    for (let at = 0; at < 4_000; at += 25) meter.intended(`machine ${at}`, at)
    for (let at = 0; at < 4_000; at += 25) {
      const isDuringStall = at >= 1_000 && at < 3_000
      meter.answered(`machine ${at}`, isDuringStall ? 3_000 : at + 1)
    }
    const { registration } = meter.read(4_000, 4_000)
    assert.strictEqual(registration.count, 160)
    assert.strictEqual(registration.maxMillis, 2_000)
    // Half of them came during the stall. A measurement from the time of sending would have seen one.
    assert.isAbove(registration.p99Millis ?? 0, 1_800)
    assert.isAbove(registration.p50Millis, 0.9)
    const slow = meter.read(4_000, 4_000).registrations.filter(({ tookMillis }) => tookMillis > 50)
    assert.strictEqual(slow.length, 78)
  })

  it("counts a machine without an answer as missed, with the ten seconds its daemon waited", () => {
    const meter = Meter.make()
    meter.intended("patient", 0)
    meter.intended("unlucky", 500)
    meter.answered("patient", 9_000)
    const { registration } = meter.read(20_000, 1_000)
    assert.strictEqual(registration.missedCount, 1)
    assert.strictEqual(registration.maxMillis, 10_000)
    assert.strictEqual(meter.waitingSince(0), 1)
    assert.strictEqual(meter.waitingSince(600), 0)
  })

  it("counts an answer that came after ten seconds as missed: a loop that stood still cannot give up in time", () => {
    const meter = Meter.make()
    meter.intended("machine", 0)
    meter.answered("machine", 23_000)
    const { registration } = meter.read(23_000, 1_000)
    assert.deepInclude(registration, { missedCount: 1, maxMillis: 23_000 })
  })

  it("gives a 99th percentile from a hundred arrivals on: of fewer it is the slowest one", () => {
    const readingOf = (count: number) => {
      const meter = Meter.make()
      for (let one = 1; one <= count; one++) {
        meter.intended(`machine ${one}`, 0)
        meter.answered(`machine ${one}`, one)
      }
      return meter.read(1_000, 1_000).registration
    }
    assert.isUndefined(readingOf(99).p99Millis)
    assert.approximately(readingOf(100).p99Millis ?? 0, 99, 0.1)
    assert.strictEqual(readingOf(99).maxMillis, 99)
  })

  it("takes the first answer only", () => {
    const meter = Meter.make()
    meter.intended("machine", 0)
    meter.answered("machine", 100)
    meter.answered("machine", 5_000)
    assert.strictEqual(meter.read(6_000, 1_000).registration.maxMillis, 100)
  })

  it("tells the last flush that ended from the last that began", () => {
    const meter = Meter.make()
    const first = meter.flushStarted(9, 0)
    const second = meter.flushStarted(9, 100)
    second(9, 200)
    first(0, 5_000)
    meter.flushStarted(9, 300)
    const { flush } = meter.read(6_000, 6_000)
    assert.deepStrictEqual(flush.last, { writtenCount: 0, rowCount: 9 })
    assert.deepInclude(flush, { count: 3, emptyCount: 1, unendedCount: 1, rowCount: 18, writtenCount: 9 })
    // The one that still runs has taken 5.7 s so far.
    assert.strictEqual(flush.maxMillis, 5_700)
  })

  it("adds up what was held and what crossed", () => {
    const meter = Meter.make()
    meter.held(100)
    meter.held(150)
    meter.crossed(5)
    meter.crossed(7)
    const reading = meter.read(1_000, 1_000)
    assert.strictEqual(reading.heldShare, 0.25)
    assert.strictEqual(reading.crossingMeanMillis, 6)
    assert.isUndefined(Meter.make().read(1_000, 1_000).crossingMeanMillis)
  })
})

describe("Verdict", () => {
  const flushOf = (writtenCount: number) => {
    const meter = Meter.make()
    meter.flushStarted(9, 0)(writtenCount, 10)
    return meter
  }

  it.each([
    { title: "a missed registration", written: 9, took: undefined, verdict: "collapsed" },
    { title: "a last flush that wrote nothing", written: 0, took: 5, verdict: "collapsed" },
    { title: "a second of waiting", written: 9, took: 1_500, verdict: "strained" },
    { title: "quick answers", written: 9, took: 5, verdict: "steady" }
  ])("calls $title $verdict", ({ took, verdict, written }) => {
    const meter = flushOf(written)
    meter.intended("machine", 0)
    if (took !== undefined) meter.answered("machine", took)
    assert.strictEqual(Verdict.of(meter.read(11_000, 1_000)), verdict)
  })
})
