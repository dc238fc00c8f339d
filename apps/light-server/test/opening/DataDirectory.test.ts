import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import fs from "node:fs"
import path from "node:path"
import * as DataDirectory from "../../src/opening/DataDirectory.ts"
import * as TemporaryDirectory from "proving/drivers/TemporaryDirectory"

const modeOf = (file: string) => (fs.statSync(file).mode & 0o777).toString(8)

const fresh = Effect.map(TemporaryDirectory.make, (parent) => path.join(parent, "a", "data"))

const secretOf = (directory: string) => path.join(directory, DataDirectory.secretFile)

describe("DataDirectory", () => {
  it.scoped("makes the directory and a secret that only their owner can open", () =>
    Effect.gen(function* () {
      const directory = yield* fresh
      const { masterSecret } = yield* DataDirectory.make({ path: directory })
      assert.strictEqual(modeOf(directory), "700")
      assert.strictEqual(modeOf(secretOf(directory)), "600")
      assert.strictEqual(Redacted.value(masterSecret), fs.readFileSync(secretOf(directory), "utf8").trim())
      assert.strictEqual(Buffer.from(Redacted.value(masterSecret), "base64url").length, 32)
      assert.deepStrictEqual(fs.readdirSync(directory), [DataDirectory.secretFile])
    })
  )

  it.scoped("keeps the secret of the first start, whoever starts at the same moment", () =>
    Effect.gen(function* () {
      const directory = yield* fresh
      const secrets = yield* Effect.all(
        Array.from({ length: 8 }, () => DataDirectory.make({ path: directory })),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(new Set(secrets.map(({ masterSecret }) => Redacted.value(masterSecret))).size, 1)
      assert.deepStrictEqual(fs.readdirSync(directory), [DataDirectory.secretFile])
    })
  )

  for (const mode of [0o640, 0o604, 0o660, 0o644]) {
    it.scoped(`refuses a secret with mode ${mode.toString(8)} and says what to do`, () =>
      Effect.gen(function* () {
        const directory = yield* fresh
        yield* DataDirectory.make({ path: directory })
        fs.chmodSync(secretOf(directory), mode)
        const error = yield* Effect.flip(DataDirectory.make({ path: directory }))
        assert.include(error.message, `chmod 600 ${secretOf(directory)}`)
        assert.include(error.message, `0${mode.toString(8)}`)
      })
    )
  }

  it.scoped("refuses a secret that is too short, and leaves it alone", () =>
    Effect.gen(function* () {
      const directory = yield* fresh
      fs.mkdirSync(directory, { recursive: true })
      fs.writeFileSync(secretOf(directory), "short\n", { mode: 0o600 })
      const error = yield* Effect.flip(DataDirectory.make({ path: directory }))
      assert.include(error.message, "shorter than 16")
      assert.notInclude(error.message, "short\n")
      assert.strictEqual(fs.readFileSync(secretOf(directory), "utf8"), "short\n")
    })
  )

  it.scoped("reads and makes no file when the environment brings the secret", () =>
    Effect.gen(function* () {
      const directory = yield* fresh
      const masterSecret = Redacted.make("from-the-environment")
      assert.strictEqual((yield* DataDirectory.make({ path: directory, masterSecret })).masterSecret, masterSecret)
      assert.deepStrictEqual(fs.readdirSync(directory), [])
    })
  )

  it.scoped("names the path and the reason when the directory cannot be made", () =>
    Effect.gen(function* () {
      const parent = yield* TemporaryDirectory.make
      const file = path.join(parent, "file")
      fs.writeFileSync(file, "")
      const error = yield* Effect.flip(DataDirectory.make({ path: path.join(file, "data") }))
      assert.include(error.message, file)
      assert.include(error.message, "ENOTDIR")
    })
  )
})
