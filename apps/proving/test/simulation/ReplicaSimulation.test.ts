/**
 * Goal: whichever replica dies, stands still, restarts or has a wrong clock, and whenever the database is away,
 * presence of three replicas keeps its promises. Method: seeds, the same in each run, on virtual time over one database
 * in memory. Planted bugs prove that the auditor detects violations.
 */
import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import { promisify } from "node:util"
import * as Bundle from "../../src/simulation/Bundle.ts"
import type { Mutant } from "../../src/simulation/Mutant.ts"
import * as Options from "../../src/simulation/Options.ts"
import { replicaMutants } from "../../src/simulation/replicas/ReplicaMutant.ts"
import * as ReplicaSearch from "../../src/simulation/replicas/ReplicaSearch.ts"
import * as ReplicaSimulation from "../../src/simulation/replicas/ReplicaSimulation.ts"

const seedsPerRun = 60
const seedsPerMutant = 40

/** A search takes as long as the box is busy; only one that hangs is a failure. */
const patienceMillis = 600_000

/** Each of them once broke a guarantee. */
const regressions = [35, 136, 257, 432, 20707, 3100744, 5551131]

describe("the simulation of replicas", () => {
  it(
    `keeps every promise in the worlds of the first ${seedsPerRun} seeds`,
    async () => {
      const { broken, counts } = await ReplicaSearch.run(1, seedsPerRun)
      const replay = `npm run prove -- simulation --world replicas --seed ${broken?.seed}`
      assert.isUndefined(broken, `seed ${broken?.seed}: ${broken?.violation}\nreplay it: ${replay}`)
      assert.isAbove(counts.told, seedsPerRun)
      assert.isBelow(counts.falseSeconds / counts.sessionSeconds, 0.1, ReplicaSearch.render(counts))
    },
    patienceMillis
  )

  it.each(regressions)(
    "keeps every promise for seed %i, which once broke one",
    (seed) => {
      assert.isUndefined(ReplicaSimulation.run(seed).violation)
    },
    patienceMillis
  )

  it("does the same again for the same seed, line by line", () => {
    const digests = () => [1, 2, 3].map((seed) => ReplicaSimulation.run(seed).digest)
    const first = digests()
    assert.deepStrictEqual(digests(), first)
    assert.lengthOf(new Set(first), first.length)
  })
})

describe("the auditor of replicas", () => {
  const searchMutant = async (
    mutant: Mutant
  ): Promise<{ readonly seedCount: number; readonly seed?: number; readonly violation?: string }> => {
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
    `finds each of ${replicaMutants.length} planted bugs within ${seedsPerMutant} seeds`,
    async () => {
      const left = [...replicaMutants]
      const unnoticed: Array<string> = []
      const work = async (): Promise<void> => {
        for (let mutant = left.shift(); mutant !== undefined; mutant = left.shift()) {
          // oxlint-disable-next-line no-await-in-loop
          const { seed, seedCount, violation } = await searchMutant(mutant)
          console.log(`${mutant.name}: ${seed === undefined ? "not found" : `found after ${seedCount}: ${violation}`}`)
          // What the sound layer does as well would say nothing about the bug.
          const isTheBug = seed !== undefined && ReplicaSimulation.run(seed).violation === undefined
          if (!isTheBug) unnoticed.push(mutant.name)
        }
      }
      await Promise.all([work(), work()])
      assert.deepStrictEqual(unnoticed, [])
    },
    2 * patienceMillis
  )

  it("plants each bug in a text that is there once", () => {
    for (const mutant of replicaMutants) assert.doesNotThrow(() => Bundle.mutate(mutant))
  })
})

describe("the command line", () => {
  it("chooses the world by name, or by the planted bug", () => {
    assert.strictEqual(Options.parse([]).world, "file")
    assert.strictEqual(Options.parse(["--world", "replicas"]).world, "replicas")
    assert.strictEqual(Options.parse(["--mutant", "no-owner-mark"]).world, "replicas")
    assert.throws(() => Options.parse(["--world", "moon"]), /--world must be file or replicas, got moon/)
  })
})
