import { assert, describe, it } from "@effect/vitest"
import * as Lab from "../src/Lab.ts"
import * as Options from "../src/Options.ts"

const groupsOf = (...args: ReadonlyArray<string>) => {
  const request = Options.parse(args)
  if (request._tag !== "Run") throw new Error(request.text)
  return Lab.groupsOf(request.options.scenarios).map((group) =>
    group.map(({ sessionCount, strategy }) => `${strategy} ${sessionCount}`)
  )
}

describe("Lab", () => {
  it("runs side by side what waits, and apart from it what works", () => {
    assert.deepStrictEqual(groupsOf("--strategies", "per-row-roundtrip,presence-effect-roundtrip,case-when"), [
      ["per-row-roundtrip 9", "presence-effect-roundtrip 9"],
      ["case-when 9"]
    ])
  })

  it("gives each run on PostgreSQL the server for itself", () => {
    assert.deepStrictEqual(
      groupsOf("--database", "postgres", "--strategies", "per-row-roundtrip,case-when-roundtrip"),
      [["per-row-roundtrip 45"], ["case-when-roundtrip 45"]]
    )
  })

  it("gives each run the machine for itself when there are many sessions", () => {
    assert.deepStrictEqual(groupsOf("--sessions", "6,500", "--strategies", "case-when,presence-effect"), [
      ["case-when 6", "presence-effect 6"],
      ["case-when 500"],
      ["presence-effect 500"]
    ])
  })
})
