import { assert, describe, it } from "@effect/vitest"
import { Either } from "effect"
import os from "node:os"
import * as HomeDirectory from "../../src/config/HomeDirectory.ts"

const absent = () => undefined

describe("HomeDirectory", () => {
  it("is the one of the environment", () => {
    assert.deepStrictEqual(
      HomeDirectory.expand("~/data", { HOME: "/home/ada" }, absent),
      Either.right("/home/ada/data")
    )
    assert.deepStrictEqual(HomeDirectory.expand("~", { HOME: "/home/ada" }, absent), Either.right("/home/ada"))
  })

  it("is the one of the system when the environment has none", () => {
    for (const environment of [{}, { HOME: "" }, { HOME: " " }]) {
      const expanded = HomeDirectory.expand("~/data", environment, () => "/home/bob")
      assert.deepStrictEqual(expanded, Either.right("/home/bob/data"))
    }
    assert.deepStrictEqual(HomeDirectory.expand("~", {}), Either.right(os.userInfo().homedir))
  })

  it("is needed only by a directory that begins with it", () => {
    for (const directory of ["/data", "data", "data/~", "~other/data"]) {
      assert.deepStrictEqual(HomeDirectory.expand(directory, {}, absent), Either.right(directory))
    }
    for (const unknown of [absent, () => ""]) {
      assert.deepStrictEqual(HomeDirectory.expand("~/data", { HOME: "" }, unknown), Either.left("NoHome"))
    }
  })
})
