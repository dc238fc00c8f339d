import { assert, describe, it, vi } from "@effect/vitest"
import { Effect, TestClock } from "effect"
import * as Logging from "../../src/log/Logging.ts"
import { LogThreshold } from "../../src/log/LogThreshold.ts"
import type { LogLevelName } from "../../src/LogLevels.ts"

interface Written {
  readonly level: string
  readonly code: string
  readonly message: string
  readonly [field: string]: unknown
}

const logged = (effect: Effect.Effect<void>, level: LogLevelName = "info") =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    yield* effect.pipe(Effect.provide(Logging.layer({ level, write: (line) => lines.push(line) })))
    return lines.map((line) => JSON.parse(line) as Written)
  })

describe("Logging", () => {
  it.effect("writes one JSON line per event, with its code", () =>
    Effect.gen(function* () {
      const lines = yield* logged(Effect.logInfo("The server is ready").pipe(Effect.annotateLogs("code", "READY")))
      assert.strictEqual(lines.length, 1)
      assert.strictEqual(lines[0]?.code, "READY")
      assert.strictEqual(lines[0]?.message, "The server is ready")
      assert.strictEqual(lines[0]?.level, "info")
    })
  )

  it.effect("takes the tag of a failure for the code", () =>
    Effect.gen(function* () {
      const failing = Effect.fail({ _tag: "DatabaseBusy" as const })
      const lines = yield* logged(Effect.catchAllCause(failing, (cause) => Effect.logWarning("A flush failed", cause)))
      assert.strictEqual(lines[0]?.code, "DatabaseBusy")
    })
  )

  it.effect("drops what is below its level", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* logged(Effect.logDebug("noise")), [])
      assert.strictEqual((yield* logged(Effect.logDebug("noise"), "debug")).length, 1)
      assert.deepStrictEqual(yield* logged(Effect.logFatal("noise"), "silent"), [])
    })
  )

  it.effect("changes its level while it runs, in both directions", () =>
    Effect.gen(function* () {
      const turned = Effect.gen(function* () {
        const threshold = yield* LogThreshold
        yield* Effect.logDebug("before")
        yield* threshold.set("debug")
        yield* Effect.logDebug("more")
        yield* threshold.set("error")
        yield* Effect.logWarning("less")
        assert.strictEqual(yield* threshold.get, "error")
      })
      const lines: Array<string> = []
      yield* Effect.provide(turned, Logging.layer({ level: "info", write: (line) => lines.push(line) }))
      assert.deepStrictEqual(
        lines.map((line) => JSON.parse(line).message),
        ["more"]
      )
    })
  )

  it.effect("rolls repeated lines up, and keeps different ones apart", () =>
    Effect.gen(function* () {
      const busy = (lane: string) => Effect.logWarning("busy").pipe(Effect.annotateLogs({ code: "DatabaseBusy", lane }))
      const lines = yield* logged(
        Effect.all([busy("control"), busy("control"), busy("control"), busy("data")], { discard: true })
      )
      assert.deepStrictEqual(
        lines.map(({ lane, repeated }) => [lane, repeated]),
        [
          ["control", undefined],
          ["data", undefined],
          ["control", 2]
        ]
      )
    })
  )

  it.effect("distinguishes lines without a code by all their fields", () =>
    Effect.gen(function* () {
      const applied = (migration: string) => Effect.logInfo("applied").pipe(Effect.annotateLogs({ migration }))
      const lines = yield* logged(Effect.all([applied("1"), applied("2"), applied("1")], { discard: true }))
      assert.deepStrictEqual(
        lines.map(({ migration, repeated }) => [migration, repeated]),
        [
          ["1", undefined],
          ["2", undefined],
          ["1", 1]
        ]
      )
    })
  )

  it.effect("never writes a token, a key or a body, wherever they are", () =>
    Effect.gen(function* () {
      const token = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJjYW5hcnkifQ.canary-signature"
      const text = yield* logged(
        Effect.logError(
          `verification of ${token} failed`,
          { nested: { publicKey: "canary", ok: 1 } },
          new Error(token)
        ).pipe(
          Effect.annotateLogs({
            authorization: "canary",
            body: "canary",
            header: "Bearer canary",
            dataEncryptionKey: "canary"
          })
        )
      ).pipe(Effect.map((lines) => JSON.stringify(lines)))
      assert.notInclude(text, "canary")
      assert.include(text, "[redacted]")
    })
  )

  it.effect("stays below its bytes per minute when every request fails differently, and reports the rest", () =>
    Effect.gen(function* () {
      const bytesPerMinute = 100_000
      const perMinute: Array<number> = []
      let told = 0
      const write = (line: string) => {
        const minute = Math.floor((JSON.parse(line) as { time: number }).time / 60_000)
        perMinute[minute] = (perMinute[minute] ?? 0) + line.length
        if (line.includes("LOG_LIMIT")) told++
      }
      // pino stamps lines with the clock of the system, which stands for the clock of the test here.
      const clock = yield* Effect.clock
      yield* Effect.acquireRelease(
        Effect.sync(() => vi.spyOn(Date, "now").mockImplementation(() => clock.unsafeCurrentTimeMillis())),
        (spy) => Effect.sync(() => spy.mockRestore())
      )
      const fault = (count: number) =>
        Effect.logError(`request ${count} failed`).pipe(Effect.annotateLogs({ code: "REQUEST_DEFECT" }))
      const flood = Effect.gen(function* () {
        for (let second = 0; second < 150; second++) {
          yield* TestClock.adjust("1 second")
          for (let count = 0; count < 100; count++) yield* fault(second * 100 + count)
        }
      })
      yield* flood.pipe(Effect.provide(Logging.layer({ level: "info", write, bytesPerMinute })))
      assert.isAtLeast(perMinute.length, 3)
      for (const bytes of perMinute) assert.isBelow(bytes, 1.05 * bytesPerMinute)
      assert.isAtLeast(told, 2)
    }).pipe(Effect.scoped)
  )

  it.effect("cuts a text that is too long", () =>
    Effect.gen(function* () {
      const [line] = yield* logged(Effect.logInfo("x".repeat(100_000)))
      assert.isAtMost(line?.message.length ?? 0, 4096)
    })
  )
})
