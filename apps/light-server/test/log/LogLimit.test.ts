import { assert, describe, it } from "@effect/vitest"
import * as LogLimit from "../../src/log/LogLimit.ts"

describe("LogLimit", () => {
  it("drops what passes the limit of a window, counts it, and reports it in the next one", () => {
    let now = 0
    let dropped = 0
    const written: Array<string> = []
    const write = LogLimit.make({
      windowMillis: 60_000,
      bytesMax: 10,
      now: () => now,
      write: (line) => written.push(line),
      dropped: () => dropped++
    })
    for (const line of ["12345\n", "1234", "5", "6"]) write(line)
    assert.deepStrictEqual(written, ["12345\n", "1234"])
    assert.strictEqual(dropped, 2)
    now = 60_000
    write("next")
    assert.strictEqual(written.length, 4)
    assert.include(written[2], `"code":"LOG_LIMIT"`)
    assert.include(written[2], "2 lines were dropped")
    assert.strictEqual(written[3], "next")
    now = 120_000
    write("quiet")
    assert.strictEqual(written.length, 5)
  })
})
