/**
 * Goal: whatever arrives, fails, is interrupted, stopped and started, in whatever order, the layer keeps its
 * guarantees. Method: seeds, the same in each run. Each creates a world on virtual time with a real SQLite file behind
 * a simulated connection, and auditors with models of their own check it. Planted bugs prove that they detect
 * violations.
 */
import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import { promisify } from "node:util"
import { afterAll, beforeAll } from "vitest"
import * as Bundle from "../../src/simulation/Bundle.ts"
import * as Coverage from "../../src/simulation/Coverage.ts"
import * as Mutant from "../../src/simulation/Mutant.ts"
import * as Options from "../../src/simulation/Options.ts"
import * as Search from "../../src/simulation/Search.ts"
import * as SimulatedFile from "../../src/simulation/SimulatedFile.ts"
import * as Simulation from "../../src/simulation/Simulation.ts"

const seedsPerRun = 200
const seedsPerMutant = 1500

/** A search takes as long as the box is busy; only one that hangs is a failure. */
const patienceMillis = 600_000

/** Fixed, so that the tests have the same result for the same code. `npm run simulate` draws new ones. */
const start = 1

/** Each of them once broke a guarantee. */
const regressions = [2371556097, 2371556838, 2371555952, 91000285, 1000000373, 77000051]

let file: SimulatedFile.SimulatedFile
beforeAll(() => {
  file = SimulatedFile.open()
})
afterAll(() => file.close())

describe("the simulation", () => {
  it(
    `keeps every promise in ${seedsPerRun} worlds from seed ${start}, where each fault meets each operation`,
    async () => {
      const { broken, coverage } = await Search.run(file, start, seedsPerRun)
      const replay = `npm run prove -- simulation --seed ${broken?.seed}`
      assert.isUndefined(broken, `seed ${broken?.seed}: ${broken?.violation}\nreplay it: ${replay}`)
      assert.deepStrictEqual(Coverage.missing(coverage), [], `from seed ${start}\n${Coverage.render(coverage)}`)
    },
    patienceMillis
  )

  it.each(regressions)(
    "keeps every promise for seed %i, which once broke one",
    (seed) => {
      assert.isUndefined(Simulation.run(seed, file).violation)
    },
    patienceMillis
  )

  it(
    "does the same again for the same seed, line by line",
    () => {
      const digests = (): ReadonlyArray<string> =>
        Array.from({ length: 6 }, (_, index) => Simulation.run(start + index, file).digest)
      const first = digests()
      assert.deepStrictEqual(digests(), first)
      assert.lengthOf(new Set(first), first.length)
    },
    patienceMillis
  )

  it("tells what happened, in order of time", () => {
    const lines: Array<string> = []
    Simulation.run(start, file, (line) => lines.push(line))
    const times = lines.map((line) => Number(/^ *(\d+\.\d{3}) s {2}\S/.exec(line)?.[1]))
    assert.isAbove(lines.length, 20)
    assert.deepStrictEqual(
      times,
      times.toSorted((a, b) => a - b)
    )
  })
})

describe("the auditors", () => {
  const searchMutant = async (
    mutant: Mutant.Mutant
  ): Promise<{ readonly seedCount: number; readonly seed?: number }> => {
    const bundle = await Bundle.make(mutant)
    try {
      const from = String(mutant.from ?? 1)
      const args = [bundle, "--json", "--mutant", mutant.name, "--from", from, "--seeds", String(seedsPerMutant)]
      const { stdout } = await promisify(execFile)(process.execPath, args).catch((error: { stdout: string }) => error)
      return JSON.parse(stdout)
    } finally {
      fs.rmSync(bundle, { force: true })
    }
  }

  it(
    `find each of ${Mutant.mutants.length} planted bugs within ${seedsPerMutant} seeds`,
    async () => {
      const left = [...Mutant.mutants]
      const unnoticed: Array<string> = []
      const work = async (): Promise<void> => {
        for (let mutant = left.shift(); mutant !== undefined; mutant = left.shift()) {
          const { seed } = await searchMutant(mutant)
          console.log(`${mutant.name}: ${seed === undefined ? "not found" : `found by seed ${seed}`}`)
          // What the sound layer does as well would say nothing about the bug.
          const isTheBug = seed !== undefined && Simulation.run(seed, file).violation === undefined
          if (!isTheBug) unnoticed.push(mutant.name)
        }
      }
      await Promise.all([work(), work()])
      assert.deepStrictEqual(unnoticed, [])
    },
    2 * patienceMillis
  )

  it("refuse a planted bug whose text is gone", () => {
    assert.throws(
      () => Bundle.mutate({ name: "rotten", breaks: "", file: "writer/Lane.ts", find: "no such text", replace: "" }),
      /mutant rotten: its text occurs 0 times in writer\/Lane.ts/
    )
    for (const mutant of Mutant.mutants) assert.doesNotThrow(() => Bundle.mutate(mutant))
  })
})

describe("the command line", () => {
  it("runs a thousand seeds from a random one by default", () => {
    const { from } = Options.parse([])
    assert.isAtLeast(from, 0)
    assert.isBelow(from, 2 ** 32)
    assert.notStrictEqual(Options.parse([]).from, from)
    assert.deepStrictEqual(Options.parse(["--from", "1"]), {
      world: "file",
      seed: undefined,
      from: 1,
      seeds: 1_000,
      mutant: undefined,
      isJson: false
    })
    assert.strictEqual(Options.parse(["--seed", "0"]).seed, 0)
    assert.strictEqual(Options.parse(["--mutant", "fence-ignored"]).mutant?.file, "presence/internal/rowTable.ts")
  })

  it.each([
    [["--seeds", "0"], /--seeds must be a whole number from 1/],
    [["--seed", "1.5"], /--seed must be a whole number/],
    [["--from", "4294967296"], /--from must be a whole number/],
    [["--mutant", "nobody"], /no mutant is called nobody/],
    [["--loud"], /--loud/],
    [["4711"], /4711/]
  ])("refuses %j", (args, reason) => {
    assert.throws(() => Options.parse(args), reason)
  })
})
