import { assert, describe, it } from "@effect/vitest"
import type { Figures } from "../src/Figures.ts"
import * as Meter from "../src/Meter.ts"
import * as Verdict from "../src/Verdict.ts"

const evidenceOf = (acknowledgedMissingCount: number): Figures["evidence"] => ({
  acknowledgedMissingCount,
  messageCount: 0,
  reportCount: 0,
  storedAgeMaxMillis: 0
})

/** A run in which the slowest of ten machines took `slowest`; `undefined`: nobody answered it. */
const run = (strategy: Figures["strategy"], slowest: number | undefined, more: Partial<Figures> = {}): Figures => {
  const meter = Meter.make()
  for (let one = 0; one < 10; one++) {
    meter.intended(`machine ${one}`, 0)
    const took = one === 9 ? slowest : 1
    if (took !== undefined) meter.answered(`machine ${one}`, took)
  }
  meter.flushStarted(9, 0)(9, 10)
  return {
    strategy,
    sessionCount: 9,
    database: "sqlite",
    ...meter.read(20_000, 1_000),
    loopGapMaxMillis: undefined,
    evidence: evidenceOf(0),
    ...more
  }
}

describe("Verdict.headline", () => {
  it("names what collapsed, and compares it with this project behind the same engine", () => {
    const runs = [
      run("per-row-roundtrip", undefined),
      run("case-when-roundtrip", 90),
      run("presence-effect-roundtrip", 13),
      run("presence-effect", 2)
    ]
    assert.strictEqual(
      Verdict.headline(runs),
      "per-row-roundtrip collapsed: 1 of 10 machines were not registered within 10 s. " +
        "With presence-effect-roundtrip all 10 were registered, the slowest after 13 ms."
    )
    assert.include(Verdict.headline([...runs, run("one-transaction-roundtrip", undefined)]), ", and 1 more collapsed: ")
    // Without this project, the headline names the best of the others. With a single layer it compares nothing.
    assert.include(Verdict.headline(runs.slice(0, 2)), " With case-when-roundtrip all 10")
    assert.notInclude(Verdict.headline(runs.slice(0, 1)), "With")
  })

  it("says so when nothing collapsed, with the slowest of all", () => {
    assert.strictEqual(
      Verdict.headline([run("case-when", 90), run("presence-effect", 13)]),
      "No collapse: every machine was registered within 10 s, the slowest after 90 ms, with case-when."
    )
  })

  it("names the number of sessions where there are several", () => {
    const runs = [run("per-row-roundtrip", 5, { sessionCount: 6 }), run("per-row-roundtrip", undefined)]
    assert.match(Verdict.headline(runs), /^per-row-roundtrip at 9 sessions collapsed: /)
  })

  it("says on PostgreSQL where a strategy is there", () => {
    const runs = [
      run("per-row-roundtrip", undefined, { database: "postgres" }),
      run("presence-effect", 2, { database: "postgres" })
    ]
    assert.include(Verdict.headline(runs), " With presence-effect all 10 were registered")
    assert.include(runs.map(Verdict.sentence).join(" "), "presence-effect, 9 sessions (direct) did not collapse")
    assert.notInclude(runs.map(Verdict.sentence).join(" "), "own thread")
  })

  it("says nothing else when an acknowledged registration is lost", () => {
    assert.strictEqual(
      Verdict.headline([run("per-row-roundtrip", undefined), run("presence-effect", 2, { evidence: evidenceOf(2) })]),
      "presence-effect LOST acknowledged registrations."
    )
  })

  it("says that flushes wrote nothing when no machine noticed", () => {
    const meter = run("per-row-roundtrip", 5)
    const flush = { ...meter.flush, last: { writtenCount: 0, rowCount: 9 } }
    assert.match(Verdict.headline([{ ...meter, flush }]), /^per-row-roundtrip collapsed: its flushes wrote nothing\.$/)
  })
})
