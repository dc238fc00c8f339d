import { assert, describe, it } from "@effect/vitest"
import * as SignalRepetition from "../../src/cli/SignalRepetition.ts"

const heard = (isBelowNpm: boolean, ...times: ReadonlyArray<number>) => {
  const { hear } = SignalRepetition.make(isBelowNpm)
  return times.map(hear)
}

describe("SignalRepetition", () => {
  it("treats every second signal as a second request where each arrives once", () => {
    assert.deepStrictEqual(heard(false, 0, 1), ["first", "again"])
    assert.deepStrictEqual(heard(false, 0, 5000), ["first", "again"])
  })

  it("recognizes one echo of the first request below npm", () => {
    assert.deepStrictEqual(heard(true, 0, 1), ["first", "echo"])
    assert.deepStrictEqual(heard(true, 0, 900, 950), ["first", "echo", "again"])
  })

  it("treats a late signal as a second request, whether or not there was an echo", () => {
    assert.deepStrictEqual(heard(true, 0, 5000), ["first", "again"])
    assert.deepStrictEqual(heard(true, 0, 1, 5000), ["first", "echo", "again"])
  })
})
