import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import fs from "node:fs"
import path from "node:path"
import * as TemporaryDirectory from "proving/drivers/TemporaryDirectory"
import * as ConfigTable from "../../src/config/ConfigTable.ts"
import * as KnobTable from "../../src/config/KnobTable.ts"
import * as ServerConfig from "../../src/config/ServerConfig.ts"

/** A data directory with a configuration file. */
const stand = (text: string) =>
  Effect.gen(function* () {
    const directory = yield* TemporaryDirectory.make
    const file = path.join(directory, "light-server.toml")
    fs.writeFileSync(file, text, { mode: 0o600 })
    const environment = { HOME: directory, HAPPIER_SERVER_LIGHT_DATA_DIR: directory }
    return { directory, environment, file }
  })

const problemsOf = (environment: ServerConfig.Environment, given: { readonly [name: string]: string } = {}) =>
  Effect.map(Effect.flip(ServerConfig.loadAll(environment, given)), ({ problems }) => problems)

describe("ConfigSources", () => {
  it.scoped("take an argument before the environment, and the environment before the file", () =>
    Effect.gen(function* () {
      const { environment } = yield* stand(`
        PORT = 1
        HOST = "0.0.0.0"
        HAPPIER_BODY_LIMIT_BYTES = 4096
        METRICS_ENABLED = false
        HAPPIER_CORS_ORIGINS = ["https://a.example", "https://b.example"]
      `)
      const all = { ...environment, PORT: "2", HAPPIER_SERVER_HOST: "127.0.0.2" }
      const { config, warnings } = yield* ServerConfig.loadAll(all, { PORT: "3" })
      assert.deepInclude(config, {
        port: 3,
        // The other name of HOST, so the file does not contradict it.
        host: "127.0.0.2",
        bodyLimitBytes: 4096,
        metricsEnabled: false
      })
      assert.deepStrictEqual(config.corsOrigins, ["https://a.example", "https://b.example"])
      assert.deepStrictEqual(warnings, [])
    })
  )

  it.scoped("do without a file in the data directory, but not without one that is named", () =>
    Effect.gen(function* () {
      const directory = yield* TemporaryDirectory.make
      const environment = { HOME: directory, HAPPIER_SERVER_LIGHT_DATA_DIR: directory }
      assert.strictEqual((yield* ServerConfig.loadAll(environment, {})).config.port, 3005)
      const missing = path.join(directory, "gone.toml")
      const problems = yield* problemsOf({ ...environment, HAPPIER_CONFIG_FILE: missing })
      assert.match(problems[0] ?? "", /gone\.toml cannot be read: ENOENT/)
    })
  )

  it.scoped("report every problem of the file, of arguments and of values together", () =>
    Effect.gen(function* () {
      const { directory, environment, file } = yield* stand(`
        PROT = 3006
        HAPPIER_RPC_METHOD_LIMIT = 3
        HAPPIER_SOCKET_LIMIT = 0
        HAPPIER_CORS_ORIGINS = [1]
        HAPPIER_SERVER_LIGHT_DATA_DIR = "/elsewhere"
      `)
      const problems = yield* problemsOf({ ...environment, HOST: "" }, { HAPPIER_LOG_LEVLE: "warn" })
      assert.deepStrictEqual(problems, [
        `${file}: HAPPIER_CORS_ORIGINS is not a text, a number, true, false or a list of texts`,
        "--set: HAPPIER_LOG_LEVLE is not known, did you mean HAPPIER_LOG_LEVEL?",
        `${file}: PROT is not known, did you mean PORT?`,
        `${file}: HAPPIER_RPC_METHOD_LIMIT has no effect any more: a socket may register 256 methods`,
        `${file}: HAPPIER_SERVER_LIGHT_DATA_DIR cannot be set here; name the file with HAPPIER_CONFIG_FILE, ` +
          "outside the directory",
        `HAPPIER_SOCKET_LIMIT is "0"; allowed: 1 to 1000000`
      ])
      assert.isTrue(fs.existsSync(directory))
    })
  )

  it.scoped("say where in the file its syntax is wrong", () =>
    Effect.gen(function* () {
      const { environment, file } = yield* stand("PORT = 1\nHOST = 0.0.0.0\n")
      const [problem = ""] = yield* problemsOf(environment)
      assert.include(problem, `${file}:2:`)
      assert.include(problem, "Invalid TOML document")
    })
  )

  it.scoped("refuse a file with a secret that others may read", () =>
    Effect.gen(function* () {
      const { environment, file } = yield* stand(`HANDY_MASTER_SECRET = "sixteen characters"`)
      assert.isDefined((yield* ServerConfig.loadAll(environment, {})).config.masterSecret)
      fs.chmodSync(file, 0o644)
      const problems = yield* problemsOf(environment)
      assert.deepStrictEqual(problems, [`${file} holds a secret, and others may read it; run: chmod 600 ${file}`])
    })
  )
})

describe("ConfigTable", () => {
  it.scoped("shows each setting with value, unit and origin, and no secret", () =>
    Effect.gen(function* () {
      const { environment, file } = yield* stand(`HAPPIER_RPC_CALL_TIMEOUT_MS = 5000`)
      const all = { ...environment, HANDY_MASTER_SECRET: "sixteen characters" }
      const sources = yield* ServerConfig.readSources(all, { PORT: "7" })
      const settings = new Map(
        KnobTable.knobsOf(ServerConfig.rooms).map((knob) => {
          const { name, ...setting } = ConfigTable.settingOf(knob, sources)
          return [name, setting] as const
        })
      )
      assert.deepStrictEqual(settings.get("PORT"), { value: "7", unit: "", origin: "argument" })
      assert.deepStrictEqual(settings.get("HAPPIER_RPC_CALL_TIMEOUT_MS"), {
        value: "5000",
        unit: "ms",
        origin: `file ${file}`
      })
      assert.deepStrictEqual(settings.get("HANDY_MASTER_SECRET"), {
        value: "<redacted>",
        unit: "",
        origin: "environment"
      })
      assert.deepStrictEqual(settings.get("HAPPIER_LOG_LEVEL"), { value: "info", unit: "", origin: "default" })
    })
  )

  it("has each setting in the schema of the file", () => {
    const knobs = KnobTable.knobsOf(ServerConfig.rooms)
    const { additionalProperties, properties } = ConfigTable.schemaOf(knobs)
    assert.isFalse(additionalProperties)
    assert.sameMembers(
      Object.keys(properties),
      knobs.flatMap(({ aliases, name }) => [name, ...aliases])
    )
  })
})
