import { assert, describe, it } from "@effect/vitest"
import * as Options from "../src/Options.ts"
import { strategyNames } from "../src/strategies/Catalogue.ts"

const accepted = (...args: ReadonlyArray<string>): Options.LabOptions => {
  const request = Options.parse(args)
  if (request._tag !== "Run") throw new Error(request.text)
  return request.options
}

describe("Options", () => {
  it("runs every strategy at nine sessions unless told otherwise", () => {
    const { html, isJson, isVirtual, scenarios } = accepted()
    assert.deepStrictEqual(
      scenarios.map(({ strategy }) => strategy),
      strategyNames
    )
    assert.deepInclude(scenarios[0], { sessionCount: 9, seconds: 15, seed: 1, roundTripMillis: 5, disk: "real" })
    assert.deepStrictEqual({ html, isJson, isVirtual }, { html: undefined, isJson: false, isVirtual: false })
  })

  it("makes one run of each strategy and size, a size given twice counts once", () => {
    const { scenarios } = accepted("--sessions", "6,9,6", "--strategies", "presence-effect,per-row-prisma")
    assert.deepStrictEqual(
      scenarios.map(({ sessionCount, strategy }) => `${strategy} ${sessionCount}`),
      ["per-row-prisma 6", "presence-effect 6", "per-row-prisma 9", "presence-effect 9"]
    )
  })

  it("leaves out what has no virtual time", () => {
    const { scenarios } = accepted("--virtual")
    assert.isTrue(scenarios.every(({ strategy }) => strategy.includes("roundtrip") || strategy.startsWith("presence")))
    assert.strictEqual(scenarios[0].seconds, 600)
  })

  it.each([
    { args: ["--sessions", "nine"], says: "whole number from 1 to 20000" },
    { args: ["--sessions", "0"], says: "whole number from 1 to 20000" },
    { args: ["--sessions", "6,,9"], says: "whole number from 1 to 20000" },
    { args: ["--seconds", "-3"], says: "whole number from 1 to 86400" },
    { args: ["--seconds", "1e3"], says: "whole number from 1 to 86400" },
    { args: ["--seed", "1.5"], says: "whole number from 0 to 4294967295" },
    { args: ["--disk", "floppy"], says: "real, slow" },
    { args: ["--rows", "backwards"], says: "together, in-turn" },
    { args: ["--round-trip", "fast"], says: "number from 0 to 1000" },
    { args: ["--strategies", "hope"], says: "There is no strategy hope; there are per-row-roundtrip," },
    { args: ["--virtual", "--strategies", "per-row-prisma"], says: "leave out per-row-prisma" },
    { args: ["--html"], says: "--html <file>" },
    { args: ["--jason"], says: "unknown option '--jason'" },
    { args: ["surplus"], says: "too many arguments" }
  ])("refuses $args and says what it wants", ({ args, says }) => {
    const request = Options.parse(args)
    assert.strictEqual(request._tag, "Misuse")
    assert.include(request._tag === "Misuse" ? request.text : "", says)
  })

  it("explains itself", () => {
    const request = Options.parse(["--help"])
    assert.strictEqual(request._tag, "Help")
    for (const name of strategyNames) assert.include(request._tag === "Help" ? request.text : "", name)
  })
})
