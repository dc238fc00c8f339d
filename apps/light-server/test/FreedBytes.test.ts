import { assert, describe, it } from "@effect/vitest"
import * as FreedBytes from "../src/FreedBytes.ts"

const large = 1_048_576

describe("FreedBytes", () => {
  it("frees a large buffer at once, and with it its views", () => {
    const bytes = Buffer.alloc(large, "a")
    const view = bytes.subarray(10, 20)
    FreedBytes.free(bytes)
    assert.strictEqual(bytes.byteLength, 0)
    assert.strictEqual(view.byteLength, 0)
  })

  it("leaves alone what is small, and what is a part of a larger buffer", () => {
    const small = Buffer.from("text")
    const part = Buffer.alloc(2 * large).subarray(0, large)
    FreedBytes.free(small)
    FreedBytes.free(part)
    assert.strictEqual(small.toString(), "text")
    assert.strictEqual(part.byteLength, large)
  })
})
