import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Logging from "../src/Logging.ts"
import type { LogLevelName } from "../src/LogLevels.ts"

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

  it.effect("keeps lines without a code apart by all they say", () =>
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

  it.effect("cuts a text that is too long", () =>
    Effect.gen(function* () {
      const [line] = yield* logged(Effect.logInfo("x".repeat(100_000)))
      assert.isAtMost(line?.message.length ?? 0, 4096)
    })
  )
})
