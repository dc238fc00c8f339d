/**
 * Goal: a change that breaks a guarantee of presence or of the writer is detected at once.
 * Method: a few worlds of the simulation, the same ones each time. `npm run prove -- simulation` runs others.
 */
import { assert, describe, it } from "@effect/vitest"
import { afterAll, beforeAll } from "vitest"
import * as Search from "../../src/simulation/Search.ts"
import * as SimulatedFile from "../../src/simulation/SimulatedFile.ts"

const seedCount = 10

let file: SimulatedFile.SimulatedFile
beforeAll(() => {
  file = SimulatedFile.open()
})
afterAll(() => file.close())

describe("the simulation", () => {
  it(`keeps every promise in the worlds of the first ${seedCount} seeds`, async () => {
    const { broken, seedCount: ran } = await Search.run(file, 1, seedCount)
    assert.isUndefined(
      broken,
      `seed ${broken?.seed}: ${broken?.violation}\nreplay it: npm run prove -- simulation --seed ${broken?.seed}`
    )
    assert.strictEqual(ran, seedCount)
  }, 300_000)
})
