import { assert, describe, it } from "@effect/vitest"
import { Effect, HashMap, Logger, Option, Redacted } from "effect"
import fs from "node:fs"
import fsPromises from "node:fs/promises"
import path from "node:path"
import { vi } from "vitest"
import * as DataDirectory from "../../src/opening/DataDirectory.ts"
import * as TemporaryDirectory from "proving/drivers/TemporaryDirectory"

const modeOf = (file: string) => (fs.statSync(file).mode & 0o777).toString(8)

const fresh = Effect.map(TemporaryDirectory.make, (parent) => path.join(parent, "a", "data"))

const secretOf = (directory: string) => path.join(directory, DataDirectory.secretFile)

const failing = (code: string) => Object.assign(new Error(code), { code })

/** The codes of what is logged. */
const noted = () => {
  const codes: Array<unknown> = []
  const note = Logger.make(({ annotations }) => {
    codes.push(Option.getOrUndefined(HashMap.get(annotations, "code")))
  })
  return { codes, logger: Logger.replace(Logger.defaultLogger, note) }
}

const spying = (spy: () => { readonly mockRestore: () => void }) =>
  Effect.acquireRelease(Effect.sync(spy), (made) => Effect.sync(() => made.mockRestore()))

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

  it.scoped("keeps the secret of the first start, even when several start at the same moment", () =>
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
    it.scoped(`tightens a secret with mode ${mode.toString(8)} and logs it`, () =>
      Effect.gen(function* () {
        const directory = yield* fresh
        const { masterSecret } = yield* DataDirectory.make({ path: directory })
        fs.chmodSync(secretOf(directory), mode)
        const { codes, logger } = noted()
        const again = yield* Effect.provide(DataDirectory.make({ path: directory }), logger)
        assert.deepStrictEqual(again.masterSecret, masterSecret)
        assert.strictEqual(modeOf(secretOf(directory)), "600")
        assert.deepStrictEqual(codes, ["FILE_MODE"])
      })
    )
  }

  it.scoped("serves with a warning where the file system shows a mode of its own for everything", () =>
    Effect.gen(function* () {
      const directory = yield* fresh
      yield* DataDirectory.make({ path: directory })
      fs.chmodSync(secretOf(directory), 0o777)
      const open = fsPromises.open.bind(fsPromises)
      yield* spying(() =>
        vi.spyOn(fsPromises, "open").mockImplementation(async (...args) => {
          const handle = await open(...args)
          handle.chmod = () => Promise.reject(failing("EPERM"))
          return handle
        })
      )
      const { codes, logger } = noted()
      yield* Effect.provide(DataDirectory.make({ path: directory }), logger)
      assert.deepStrictEqual(codes, ["FILE_MODE"])
      assert.strictEqual(modeOf(secretOf(directory)), "777")
    })
  )

  it.scoped("warns of a directory that other users may read", () =>
    Effect.gen(function* () {
      const directory = yield* fresh
      yield* DataDirectory.make({ path: directory })
      fs.chmodSync(directory, 0o755)
      const { codes, logger } = noted()
      yield* Effect.provide(DataDirectory.make({ path: directory }), logger)
      assert.deepStrictEqual(codes, ["FILE_MODE"])
    })
  )

  for (const code of ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"]) {
    it.scoped(`makes the secret on a file system that answers ${code} to a hard link`, () =>
      Effect.gen(function* () {
        const directory = yield* fresh
        yield* spying(() => vi.spyOn(fsPromises, "link").mockRejectedValue(failing(code)))
        const secrets = yield* Effect.all([0, 1, 2].map(() => DataDirectory.make({ path: directory })))
        assert.strictEqual(new Set(secrets.map(({ masterSecret }) => Redacted.value(masterSecret))).size, 1)
        assert.strictEqual(modeOf(secretOf(directory)), "600")
        assert.deepStrictEqual(fs.readdirSync(directory), [DataDirectory.secretFile])
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

  it.scoped("reads and makes no file when the environment contains the secret", () =>
    Effect.gen(function* () {
      const directory = yield* fresh
      const masterSecret = Redacted.make("from-the-environment")
      assert.strictEqual((yield* DataDirectory.make({ path: directory, masterSecret })).masterSecret, masterSecret)
      assert.deepStrictEqual(fs.readdirSync(directory), [])
    })
  )

  it.scoped("reports the path and the reason when the directory cannot be made", () =>
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
