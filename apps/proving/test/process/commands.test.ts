/** Commands as processes: what they print, and how they end. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import fs from "node:fs"
import path from "node:path"
import * as Fixtures from "../../src/fixtures/make-fixtures.ts"
import * as ServerProcess from "../../src/drivers/ServerProcess.ts"
import * as TemporaryDirectory from "../../src/drivers/TemporaryDirectory.ts"

const command = (
  line: ReadonlyArray<string>,
  environment: Record<string, string> = {}
): Effect.Effect<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> =>
  Effect.scoped(
    Effect.gen(function* () {
      const child = yield* ServerProcess.start({ arguments: line, environment })
      const code = yield* child.exitCode
      return { code, ...child.output() }
    })
  )

describe("import", () => {
  it.scopedLive(
    "prints a table, what was skipped and what stays behind, and makes a database that a server serves",
    () =>
      Effect.gen(function* () {
        const into = path.join(yield* TemporaryDirectory.make, "data")
        const { code, stderr, stdout } = yield* command(["import", "--from", Fixtures.fileOf("mixed"), "--into", into])
        assert.strictEqual(stderr, "")
        assert.strictEqual(code, 0)
        assert.match(stdout, /^table +read +written +skipped +checksum of what was written$/m)
        assert.match(stdout, /^SessionMessage +7 +5 +2 +[0-9a-f]{64}$/m)
        assert.include(stdout, "  SessionMessage: 2 because sessionId is no Session\n")
        assert.match(stdout, /^AccessKey +1 +1 +0 +[0-9a-f]{64}$/m)
        assert.include(stdout, "  SessionShare: 1\n")

        const again = yield* command(["import", "--from", Fixtures.fileOf("mixed"), "--into", into])
        assert.strictEqual(again.code, 4)
        assert.include(again.stderr, "it is not empty (happier-server-light.sqlite)")

        const server = yield* ServerProcess.start({ directory: into })
        const url = yield* server.url
        assert.strictEqual((yield* ServerProcess.request(`${url}/readyz`)).status, 200)
      }),
    60_000
  )

  it.scopedLive("prints the same as JSON for programs", () =>
    Effect.gen(function* () {
      const into = path.join(yield* TemporaryDirectory.make, "data")
      const { code, stdout } = yield* command(["import", "--from", Fixtures.fileOf("mixed"), "--into", into, "--json"])
      assert.strictEqual(code, 0)
      const { databaseFile, tables } = JSON.parse(stdout)
      assert.isTrue(fs.existsSync(databaseFile))
      const { checksum, ...machine } = tables.find(({ table }: { table: string }) => table === "Machine")
      assert.deepStrictEqual(machine, { table: "Machine", readCount: 2, writtenCount: 2, skipped: {} })
      assert.match(checksum, /^[0-9a-f]{64}$/)
    })
  )

  it.scopedLive("ends with code 5 for a source it does not understand, and with 4 for one that is missing", () =>
    Effect.gen(function* () {
      const broken = yield* command(["import", "--from", Fixtures.fileOf("broken")])
      assert.strictEqual(broken.code, 5)
      assert.include(broken.stderr, "- Session.lastActiveAt is missing")
      const missing = yield* command(["import", "--from", Fixtures.fileOf("broken") + ".gone"])
      assert.strictEqual(missing.code, 4)
    })
  )
})

describe("invalid arguments", () => {
  it.scopedLive("end with code 2 and the usage", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* command(["improt"])
      assert.strictEqual(code, 2)
      assert.strictEqual(stdout, "")
      assert.strictEqual(
        stderr,
        "happier-light-server: unknown command 'improt' (Did you mean import?); " +
          "see `npx --no-install happier-light-server --help`\n"
      )
    })
  )
})

describe("version", () => {
  it.scopedLive("prints the versions of what it runs on as JSON", () =>
    Effect.gen(function* () {
      const { code, stdout } = yield* command(["version", "--json"])
      assert.strictEqual(code, 0)
      assert.hasAllKeys(JSON.parse(stdout), ["version", "node", "sqlite", "platform"])
    })
  )
})

describe("config", () => {
  it.scopedLive("shows what is set, where, and no secret", () =>
    Effect.gen(function* () {
      const directory = yield* TemporaryDirectory.make
      const file = path.join(directory, "light-server.toml")
      fs.writeFileSync(file, `PORT = 4001\nHAPPIER_BODY_LIMIT_BYTES = 2048\nHAPPIER_LOG_LEVEL = "warn"\n`)
      const environment = {
        HAPPIER_SERVER_LIGHT_DATA_DIR: directory,
        HANDY_MASTER_SECRET: "a very secret secret",
        PUBLIC_URL: "https://me:hidden@example.com/",
        PORT: "4000"
      }
      const words = ["config", "print", "--set", "HAPPIER_LOG_LEVEL=error"]
      const { code, stdout } = yield* command([...words, "--json"], environment)
      assert.strictEqual(code, 0)
      const { resolved, settings } = JSON.parse(stdout)
      const of = (name: string) => settings.find((setting: { readonly name: string }) => setting.name === name)
      assert.deepStrictEqual(of("PORT"), { name: "PORT", value: "4000", unit: "", origin: "environment" })
      const limit = { name: "HAPPIER_BODY_LIMIT_BYTES", value: "2048", unit: "bytes", origin: `file ${file}` }
      assert.deepStrictEqual(of("HAPPIER_BODY_LIMIT_BYTES"), limit)
      assert.deepInclude(of("HAPPIER_LOG_LEVEL"), { value: "error", origin: "argument" })
      assert.deepInclude(of("HAPPIER_SOCKET_LIMIT"), { value: "10000", origin: "default" })
      assert.strictEqual(resolved.port, 4000)
      assert.strictEqual(resolved.bodyLimitBytes, 2048)
      assert.strictEqual(resolved.masterSecret, "<redacted>")
      assert.strictEqual(resolved.publicUrl, "https://example.com")

      const text = yield* command(words, environment)
      assert.match(text.stdout, /^variable +value +unit +origin\n/)
      assert.match(text.stdout, /^HANDY_MASTER_SECRET +<redacted> +environment$/m)
      for (const output of [stdout, text.stdout]) {
        assert.notInclude(output, "very secret")
        assert.notInclude(output, "hidden")
      }
    })
  )

  it.scopedLive("ends with code 3 and every problem of every source when the configuration cannot be used", () =>
    Effect.gen(function* () {
      const file = path.join(yield* TemporaryDirectory.make, "other.toml")
      fs.writeFileSync(file, "PROT = 4001\nHAPPIER_SOCKET_LIMIT = 0\n")
      const words = ["config", "check", "--config", file, "--set", "HAPPIER_LOG_LEVLE=warn"]
      const { code, stderr } = yield* command(words, { PORT: "99999", PUBLIC_URL: "nowhere" })
      assert.strictEqual(code, 3)
      const lines = stderr.trim().split("\n").slice(1)
      assert.lengthOf(lines, 5)
      for (const mention of [
        "PROT is not known, did you mean PORT?",
        "HAPPIER_SOCKET_LIMIT is",
        "did you mean HAPPIER_LOG_LEVEL?",
        "PORT is",
        "PUBLIC_URL is"
      ]) {
        assert.isTrue(
          lines.some((line) => line.includes(mention)),
          mention
        )
      }
      const sound = yield* command(["config", "check"])
      assert.deepStrictEqual([sound.code, sound.stdout], [0, "the configuration can be used\n"])
    })
  )
})
