import { assert, describe, it } from "@effect/vitest"
import type { WriterError } from "presence-effect/writer/WriterError"
import * as StatusAdvice from "../../src/status/StatusAdvice.ts"

const well: StatusAdvice.Facts = {
  checks: [{ name: "writer", ok: true, code: "OK", detail: "", since: 0 }],
  databaseBytes: 1e6,
  logBytes: 1e6,
  logBytesMax: 64e6,
  diskFreeBytes: 1e9,
  diskReserveBytes: 64e6,
  trackedCount: 10,
  trackedMax: 1000,
  parkedCount: 0
}

const failing = (code: string): StatusAdvice.Facts => ({
  ...well,
  checks: [{ name: "commit", ok: false, code, detail: "the detail", since: 0 }]
})

const codes = (facts: StatusAdvice.Facts) => StatusAdvice.of(facts).map(({ code }) => code)

describe("StatusAdvice", () => {
  it("has nothing to say when all is well", () => {
    assert.deepStrictEqual(StatusAdvice.of(well), [])
    assert.strictEqual(StatusAdvice.lineOf([]), "All is well.")
  })

  it("has words of its own for every code that a check can report", () => {
    // Every failure of the engine can be the reason of the check `commit`.
    const engine = [
      "DatabaseBusy",
      "DatabaseFull",
      "DatabaseReadonly",
      "DatabaseIo",
      "DatabaseCorrupt",
      "DatabaseMoved",
      "ConnectionLost",
      "ConnectionGone"
    ] satisfies ReadonlyArray<WriterError["_tag"]>
    const others = ["WriterClosed", "WriterStuck", "CommitAge", "LaneOverflow", "FlushFailing", "DiskFull", "Draining"]
    for (const code of [...engine, ...others]) {
      const [advice] = StatusAdvice.of(failing(code))
      assert.notInclude(advice?.text ?? "the detail", "the detail", code)
      assert.strictEqual(advice?.level, "problem")
    }
    assert.include(StatusAdvice.of(failing("Unheard"))[0]?.text ?? "", "the detail")
  })

  it("names each code once, though several checks report it", () => {
    const [check] = failing("DatabaseFull").checks
    assert.isDefined(check)
    if (check === undefined) return
    assert.deepStrictEqual(codes({ ...well, checks: [check, { ...check, name: "flush" }] }), ["DatabaseFull"])
  })

  it.each([
    ["DiskNearlyFull", { diskFreeBytes: 100e6 }],
    ["NoRoomForCopy", { databaseBytes: 5e9 }],
    ["LogPinned", { logBytes: 200e6 }],
    ["RowsRefused", { parkedCount: 2 }],
    ["NearlyFull", { trackedCount: 950 }]
  ])("warns of %s while the server is ready", (code, facts) => {
    const advice = StatusAdvice.of({ ...well, ...facts })
    assert.deepStrictEqual(
      advice.map(({ code, level }) => [code, level]),
      [[code, "warning"]]
    )
    assert.strictEqual(StatusAdvice.lineOf(advice), "The server works, with a warning.")
  })

  it("counts problems in its line", () => {
    const two = StatusAdvice.of(failing("DatabaseBusy")).concat(StatusAdvice.of(failing("CommitAge")))
    assert.strictEqual(StatusAdvice.lineOf(two), "The server has 2 problems.")
    assert.strictEqual(StatusAdvice.lineOf(two.slice(0, 1)), "The server has a problem.")
  })
})
