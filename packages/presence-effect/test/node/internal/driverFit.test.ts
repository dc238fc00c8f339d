import { assert, describe, it } from "@effect/vitest"
import * as DriverFit from "../../../src/node/internal/driverFit.ts"

describe("driverFit", () => {
  it("warns of a driver that aborts the process, and of no other", () => {
    const fits = (node: string, driver: string) => DriverFit.misfitOf(node, driver) === undefined
    assert.deepStrictEqual(
      [fits("24.19.0", "12.11.1"), fits("24.21.0", "12.6.2"), fits("24.100.0", "11.10.0")],
      [false, false, false]
    )
    for (const [node, driver] of [
      ["24.21.0", "13.2.0"],
      ["24.18.1", "12.11.1"],
      ["20.19.0", "12.11.1"],
      ["22.23.3", "12.11.1"],
      ["26.10.0", "12.11.1"]
    ] as const) {
      assert.isTrue(fits(node, driver), `${driver} on ${node}`)
    }
  })

  it("says what to install", () => {
    assert.match(
      DriverFit.misfitOf("24.21.0", "12.11.1") ?? "",
      /better-sqlite3 12\.11\.1.*Node 24\.21\.0.*install .* 13/
    )
  })
})
