import { assert, describe, it } from "@effect/vitest"
import * as Options from "../src/Options.ts"
import { needsProcess, strategyNames } from "../src/strategies/Catalogue.ts"

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

  it("runs on PostgreSQL what needs no process, with as many rows a connection as the incident had", () => {
    const { scenarios, server } = accepted("--database", "postgres")
    assert.deepStrictEqual(server, { which: "found", disk: "real" })
    assert.deepStrictEqual([...new Set(scenarios.map(({ sessionCount }) => sessionCount))], [45])
    assert.deepInclude(scenarios[0], { database: "postgres", connections: 4 })
    assert.isFalse(scenarios.some(({ strategy }) => needsProcess(strategy)))
    const two = accepted("--database", "embedded", "--connections", "2", "--disk", "slow")
    assert.deepStrictEqual(two.server, { which: "embedded", disk: "slow" })
    assert.deepStrictEqual([...new Set(two.scenarios.map(({ sessionCount }) => sessionCount))], [21])
    const url = "postgres://me:p%40ss@db.internal/lab"
    assert.deepStrictEqual(accepted("--database", url, "--sessions", "6").server, { which: { url }, disk: "real" })
    assert.isUndefined(accepted().server)
  })

  it("repeats no password of an address that it refuses", () => {
    for (const address of ["postgres://me:s3cret@db", "mysql://me:s3cret@db/lab", "postgres://me:s3cret @db:x/lab"]) {
      const request = Options.parse(["--database", address])
      assert.strictEqual(request._tag, "Misuse")
      assert.notInclude(request._tag === "Misuse" ? request.text : "s3cret", "s3cret")
    }
  })

  it.each([
    { args: ["--database", "oracle"], says: "It must be sqlite, postgres, embedded, or postgres://" },
    { args: ["--database", "mysql://root@db/lab"], says: "it does not begin with postgres://" },
    { args: ["--database", "postgres://db"], says: "it has no database" },
    { args: ["--database", "postgres:///lab"], says: "it has no host" },
    { args: ["--database", "postgres://me@db:x/lab"], says: "it cannot be read as an address" },
    { args: ["--database", "postgres://db/lab?sslmode=verify-full"], says: "use sslmode=no-verify or disable" },
    { args: ["--database", "postgres", "--virtual"], says: "leave out --virtual" },
    { args: ["--database", "postgres", "--strategies", "case-when"], says: "leave out case-when, or --database" },
    { args: ["--connections", "4"], says: "--connections is for PostgreSQL" },
    { args: ["--database", "postgres", "--connections", "1"], says: "whole number from 2 to 16" },
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
