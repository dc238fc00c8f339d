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
      assert.include(stderr, "Did you mean import?")
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

describe("config print", () => {
  it.scopedLive("shows what is set and no secret", () =>
    Effect.gen(function* () {
      const { code, stdout } = yield* command(["config", "print"], {
        HANDY_MASTER_SECRET: "a very secret secret",
        PUBLIC_URL: "https://me:hidden@example.com/",
        PORT: "4000"
      })
      assert.strictEqual(code, 0)
      const config = JSON.parse(stdout)
      assert.strictEqual(config.port, 4000)
      assert.strictEqual(config.masterSecret, "<redacted>")
      assert.strictEqual(config.publicUrl, "https://example.com")
      assert.notInclude(stdout, "very secret")
      assert.notInclude(stdout, "hidden")
    })
  )

  it.scopedLive("ends with code 3 and every problem when the configuration cannot be used", () =>
    Effect.gen(function* () {
      const { code, stderr } = yield* command(["config", "print"], { PORT: "99999", PUBLIC_URL: "nowhere" })
      assert.strictEqual(code, 3)
      assert.include(stderr, "PORT")
      assert.include(stderr, "PUBLIC_URL")
    })
  )
})
