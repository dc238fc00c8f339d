import { assert, describe, it } from "@effect/vitest"
import * as FreeSpace from "../../../src/node/internal/freeSpace.ts"
import { tmpdir } from "node:os"
import path from "node:path"

const here = path.join(tmpdir(), "db.sqlite")

const none = () => 0

describe("freeSpace", () => {
  it("refuses below the reserve, and goes on only when a quarter more is free", () => {
    let free = 1_000
    const { refusal } = FreeSpace.make(here, 1_000, () => free)
    const isRefused = (bytes: number) => {
      free = bytes
      return refusal(none) !== undefined
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
    const detail = "999 bytes are free, and 0 in the file; 1000 are kept in reserve"
    assert.deepInclude(refusal(none), { code: "RESERVE", detail })
  })

  it("lets free pages of the file stand for half of the reserve, and no more", () => {
    let free = 600
    let reusable = 0
    const { refusal } = FreeSpace.make(here, 1_000, () => free)
    const isRefused = (bytes: number, pages: number) => {
      free = bytes
      reusable = pages
      return refusal(() => reusable) !== undefined
    }
    assert.isFalse(isRefused(600, 400), "enough together")
    assert.isTrue(isRefused(600, 399), "too little together")
    assert.isTrue(isRefused(600, 649), "a quarter more is wanted after a refusal")
    assert.isTrue(isRefused(624, 10_000), "so it is of what must be free on the disk")
    assert.isFalse(isRefused(625, 625))
    assert.isTrue(isRefused(499, 10_000), "the log has no room")
  })

  it("does not ask for free pages while the disk has room", () => {
    const { refusal } = FreeSpace.make(here, 1_000, () => 1_000)
    assert.isUndefined(refusal(() => assert.fail("nobody needs to know")))
  })

  it("asks the disk, and does not without a reserve", () => {
    assert.isUndefined(FreeSpace.make(here, 1).refusal(none))
    assert.isDefined(FreeSpace.make(here, Number.MAX_SAFE_INTEGER).refusal(none))
    const unasked = FreeSpace.make(here, 0, () => assert.fail("nobody needs to know"))
    assert.isUndefined(unasked.refusal(none))
  })

  it("leaves the verdict to the write when it cannot look", () => {
    const blind = FreeSpace.make(path.join(here, "no", "such", "place"), 1)
    assert.isUndefined(blind.refusal(none))
  })
})
