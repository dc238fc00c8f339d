import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import * as Opening from "../../src/node/internal/opening.ts"
import type { SqliteOptions } from "../../src/node/SqliteOptions.ts"
import * as SqliteFault from "../../src/sqlite/SqliteFault.ts"

const bare: SqliteOptions = { filename: "db" }
const fault = (code: string) => SqliteFault.make({ code, detail: "", phase: "queued" })

describe("SqliteOptions", () => {
  it("bounds the log at 64 MiB and keeps no reserve unless told otherwise", () => {
    assert.deepStrictEqual(Opening.engineOptions(bare), {
      filename: "db",
      journalSizeLimitBytes: 64 * 1024 * 1024,
      freeReserveBytes: 0,
      setup: []
    })
    const files = { database: "1:2", log: undefined }
    assert.deepStrictEqual(
      Opening.engineOptions({ filename: "db", journalSizeLimitBytes: -1, freeReserveBytes: 9, setup: ["x"] }, files),
      { filename: "db", files, journalSizeLimitBytes: -1, freeReserveBytes: 9, setup: ["x"] }
    )
  })

  it.effect("opens again while another connection holds the file, for as long as openTimeout", () =>
    Effect.gen(function* () {
      let attempts = 0
      const open = Effect.suspend(() => {
        attempts++
        return Effect.fail(fault("SQLITE_BUSY_RECOVERY"))
      })
      const opening = yield* Effect.fork(Effect.exit(Opening.retryBusyOpen(bare)(open)))
      yield* TestClock.adjust("4900 millis")
      assert.isNull(opening.unsafePoll())
      yield* TestClock.adjust("200 millis")
      assert.isTrue(Exit.isFailure(yield* Fiber.join(opening)))
      assert.isAbove(attempts, 400)
    })
  )

  it.effect("does not try again what another moment does not change", () =>
    Effect.gen(function* () {
      let attempts = 0
      const open = Effect.suspend(() => {
        attempts++
        return Effect.fail(fault("SQLITE_NOTADB"))
      })
      yield* Effect.flip(Opening.retryBusyOpen(bare)(open))
      assert.strictEqual(attempts, 1)
    })
  )
})
