import { assert, describe, it } from "@effect/vitest"
import * as FreeSpace from "../../../src/node/internal/freeSpace.ts"
import { tmpdir } from "node:os"
import path from "node:path"

const here = path.join(tmpdir(), "db.sqlite")

describe("freeSpace", () => {
  it("refuses below the reserve, and goes on only when a quarter more is free", () => {
    let free = 1_000
    const { refusal } = FreeSpace.make(here, 1_000, () => free)
    const isRefused = (bytes: number) => {
      free = bytes
      return refusal() !== undefined
    }
    assert.deepStrictEqual([1_000, 999, 1_000, 1_249, 1_250, 1_000, 999].map(isRefused), [
      false,
      true,
      true,
      true,
      false,
      false,
      true
    ])
    assert.deepInclude(refusal(), { code: "RESERVE", detail: "999 bytes are free, 1000 are kept in reserve" })
  })

  it("asks the disk, and nobody without a reserve", () => {
    assert.isUndefined(FreeSpace.make(here, 1).refusal())
    assert.isDefined(FreeSpace.make(here, Number.MAX_SAFE_INTEGER).refusal())
    const unasked = FreeSpace.make(here, 0, () => assert.fail("nobody needs to know"))
    assert.isUndefined(unasked.refusal())
  })

  it("leaves the verdict to the write when it cannot look", () => {
    const blind = FreeSpace.make(path.join(here, "no", "such", "place"), 1)
    assert.isUndefined(blind.refusal())
  })
})
