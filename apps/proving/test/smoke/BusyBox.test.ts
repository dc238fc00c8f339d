import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as OtherLoad from "../../src/drivers/OtherLoad.ts"
import * as Result from "../../src/bench/Result.ts"
import * as Table from "../../src/bench/Table.ts"

const found: Result.Result = {
  id: "T1@9",
  ours: 1,
  theirs: 2,
  unit: "ms",
  ratio: 0.5,
  target: "ratio <= 1",
  met: true,
  note: "1-2"
}

describe("the verdict of a benchmark", () => {
  it("counts a figure as met or missed only while other programs leave the processors alone", () => {
    assert.strictEqual(Result.judged(found, 0.02).verdict, "met")
    assert.strictEqual(Result.judged({ ...found, met: false }, 0.02).verdict, "missed")
    assert.strictEqual(Result.judged(found, 0.4).verdict, "busy")
    assert.strictEqual(Result.judged({ ...found, met: false }, 0.4).verdict, "busy")
    assert.strictEqual(Result.judged({ ...found, measures: "memory" }, 0.4).verdict, "met")
  })

  it("prints how busy the box was in the place of a yes", () => {
    assert.match(Table.row(Result.judged(found, 0.02)), /ratio <= 1 +yes +1-2$/)
    assert.match(Table.row(Result.judged(found, 0.4)), / busy +other programs used 40 % of the processors; +1-2$/)
  })
})

describe("the table of README.md", () => {
  it("has a row for each figure", () => {
    const [head, , row] = Table.markdown([Result.judged(found, 0)]).split("\n")
    assert.strictEqual(head, "|  | ours | theirs | unit | ratio | target | met |")
    assert.strictEqual(row, "| T1@9 | 1 | 2 | ms | 0.5 | ratio <= 1 | yes |")
  })
})

describe("the load of other programs", () => {
  it("is what the processors did beyond the programs that are measured", () => {
    const before = { busy: 1_000, total: 10_000, own: 500 }
    assert.strictEqual(OtherLoad.share(before, { busy: 3_000, total: 20_000, own: 1_500 }), 0.1)
    assert.strictEqual(OtherLoad.share(before, { busy: 1_990, total: 20_000, own: 1_500 }), 0, "ticks are coarse")
  })

  it("reads the group and the times of a process whose name has blanks and brackets", () => {
    const stat = `77 (a (b) c) S 1 42 42 ${Array.from({ length: 7 }, () => 0).join(" ")} 10 5 2 1 20 0`
    assert.deepStrictEqual(OtherLoad.readStat(stat), { name: "a (b) c", group: 42, millis: 180 })
  })

  it.skipIf(process.platform !== "linux")("counts a service that works for the group as its own", () => {
    const { group, name } = OtherLoad.readStat(fs.readFileSync("/proc/self/stat", "utf8"))
    const nobody = 2 ** 30
    assert.strictEqual(OtherLoad.sample(nobody)?.own, 0)
    assert.isAbove(OtherLoad.sample(nobody, new Set([name]))?.own ?? 0, 0)
    assert.isAbove(OtherLoad.sample(group)?.own ?? 0, 0)
  })
})
