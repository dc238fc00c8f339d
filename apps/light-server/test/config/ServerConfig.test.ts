import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Either, Redacted } from "effect"
import path from "node:path"
import * as Lane from "presence-effect/writer/Lane"
import * as PresenceConfig from "presence-effect/presence/PresenceConfig"
import * as WriterPolicy from "presence-effect/writer/WriterPolicy"
import { knobs } from "../../src/config/ConfigNames.ts"
import * as RealtimeOptions from "../../src/realtime/RealtimeOptions.ts"
import * as RpcOptions from "../../src/rpc/RpcOptions.ts"
import * as ServerConfig from "../../src/config/ServerConfig.ts"
import { codes, table } from "../Document.ts"

const load = (environment: ServerConfig.Environment) => ServerConfig.load({ HOME: "/home/someone", ...environment })

const problemsOf = (environment: ServerConfig.Environment) =>
  load(environment).pipe(
    Effect.flip,
    Effect.map(({ problems }) => problems)
  )

const retryForOf = (policy: WriterPolicy.WriterPolicy, lane: Lane.Lane) =>
  Duration.toMillis(policy.lanes.find((terms) => terms.lane === lane)?.retry.retryFor ?? -1)

describe("ServerConfig", () => {
  it.effect("needs no variable at all", () =>
    Effect.gen(function* () {
      const { config, warnings } = yield* load({})
      assert.deepStrictEqual(warnings, [])
      assert.strictEqual(config.host, "127.0.0.1")
      assert.strictEqual(config.port, 3005)
      assert.strictEqual(config.dataDirectory, "/home/someone/.happier/server-light")
      assert.strictEqual(config.databaseFile, path.join(config.dataDirectory, "happier-server-light.sqlite"))
      assert.isUndefined(config.masterSecret)
      assert.deepStrictEqual(config.writerPolicy, WriterPolicy.defaults)
      assert.strictEqual(config.presence.flushIntervalMillis, 5000)
    })
  )

  it.effect("takes an empty variable for an unset one", () =>
    Effect.gen(function* () {
      const { config } = yield* load({ PORT: " ", HAPPIER_DB_PROVIDER: "" })
      assert.strictEqual(config.port, 3005)
    })
  )

  it.effect("reports all problems at once, each with its variable, value and what is allowed", () =>
    Effect.gen(function* () {
      const problems = yield* problemsOf({
        PORT: "70000",
        HAPPIER_PRESENCE_FLUSH_INTERVAL_MS: "5s",
        HAPPIER_LOG_LEVEL: "loud",
        METRICS_ENABLED: "perhaps"
      })
      assert.deepStrictEqual(
        problems.toSorted(),
        [
          `HAPPIER_LOG_LEVEL is "loud"; allowed: trace, debug, info, warn, error, fatal, silent`,
          `HAPPIER_PRESENCE_FLUSH_INTERVAL_MS is "5s"; allowed: 100 to 3600000`,
          `METRICS_ENABLED is "perhaps"; allowed: 1, true, yes, on; 0, false, no, off`,
          `PORT is "70000"; allowed: 0 to 65535`
        ].toSorted()
      )
    })
  )

  for (const [variable, value, reason] of [
    ["HAPPIER_DB_PROVIDER", "postgres", "This server opens one SQLite file and no other database"],
    ["HAPPY_DB_PROVIDER", "pglite", "A PGlite directory is no SQLite file"],
    ["HAPPIER_SQLITE_JOURNAL_MODE", "DELETE", "every reader would stop the writer"],
    ["HAPPIER_SQLITE_SYNCHRONOUS", "OFF", "OFF can leave a damaged file behind"],
    ["HAPPIER_CORS_ORIGINS", "*, https://a.example", "* stands alone"],
    ["HAPPIER_CORS_ORIGINS", "https://a.example/app", "without a path"],
    ["HAPPIER_TRUSTED_PROXIES", "loopback, 10.0.0.0/40", "10.0.0.0/40: no address and no network"],
    ["HAPPIER_TRUSTED_PROXIES", "true", "true: no address and no network"]
  ] as const) {
    it.effect(`refuses ${variable}=${value} with a reason`, () =>
      Effect.gen(function* () {
        const [problem, ...others] = yield* problemsOf({ [variable]: value })
        assert.deepStrictEqual(others, [])
        assert.include(problem, variable)
        assert.include(problem, value)
        assert.include(problem, reason)
      })
    )
  }

  it.effect("never shows a secret or an address with a password", () =>
    Effect.gen(function* () {
      const problems = yield* problemsOf({
        HANDY_MASTER_SECRET: "short-canary",
        DATABASE_URL: "postgres://u:canary@h/d"
      })
      assert.strictEqual(problems.length, 2)
      assert.notInclude(problems.join(), "canary")
    })
  )

  it.effect("hides the secret it accepted", () =>
    Effect.gen(function* () {
      const { config } = yield* load({ HANDY_MASTER_SECRET: "a-secret-that-is-long-enough" })
      assert.notInclude(JSON.stringify(config), "long-enough")
      assert.strictEqual(config.masterSecret && Redacted.value(config.masterSecret), "a-secret-that-is-long-enough")
    })
  )

  for (const [url, file] of [
    ["file:/var/lib/light.sqlite", "/var/lib/light.sqlite"],
    ["file:///var/lib/a%20b.sqlite", "/var/lib/a b.sqlite"],
    ["file:light.sqlite?socket_timeout=30&connection_limit=1", "/data/light.sqlite"],
    ["file:./sub/light.sqlite", "/data/sub/light.sqlite"]
  ] as const) {
    it.effect(`reads DATABASE_URL=${url}`, () =>
      Effect.gen(function* () {
        const { config } = yield* load({ DATABASE_URL: url, HAPPIER_SERVER_LIGHT_DATA_DIR: "/data" })
        assert.strictEqual(config.databaseFile, file)
      })
    )
  }

  it.effect("names the closest known variable for a name it does not know", () =>
    Effect.gen(function* () {
      const { warnings } = yield* load({
        HAPPIER_PRESENCE_FLUSH_INTERVALL_MS: "5000",
        HAPPIER_DB_TX_MAX_RETRIES: "8",
        HAPPIER_SERVER_URL: "http://localhost",
        HAPPIER_ENTIRELY_DIFFERENT_THING: "1",
        PATH: "/bin"
      })
      assert.deepStrictEqual(warnings, [
        "HAPPIER_PRESENCE_FLUSH_INTERVALL_MS is not known, did you mean HAPPIER_PRESENCE_FLUSH_INTERVAL_MS?",
        "HAPPIER_DB_TX_MAX_RETRIES has no effect here: retries end with the deadline of their lane",
        "HAPPIER_ENTIRELY_DIFFERENT_THING is not known and has no effect"
      ])
    })
  )

  for (const [environment, ...parts] of [
    [
      { HAPPIER_PRESENCE_DRAIN_TIMEOUT_MS: "10000" },
      "HAPPIER_PRESENCE_DRAIN_TIMEOUT_MS (10000 ms)",
      "HAPPIER_SHUTDOWN_TIMEOUT_MS (10000 ms)"
    ],
    [
      { HAPPIER_SOCKET_DRAIN_TIMEOUT_MS: "3001" },
      "HAPPIER_PRESENCE_DRAIN_TIMEOUT_MS (3000 ms) plus HAPPIER_SOCKET_DRAIN_TIMEOUT_MS (3001 ms) plus " +
        "HAPPIER_SOCKET_CLOSE_SPREAD_MS (1000 ms) plus 3000 ms for all other steps"
    ],
    [
      { HAPPIER_SOCKET_OUTGOING_LIMIT_BYTES: "2097152", HAPPIER_SOCKET_LAGGING_BYTES: "2097152" },
      "HAPPIER_SOCKET_LAGGING_BYTES (2097152 bytes) must be below HAPPIER_SOCKET_OUTGOING_LIMIT_BYTES (2097152 bytes)"
    ],
    [
      { HAPPIER_SOCKET_OUTGOING_LIMIT_BYTES: "2097151" },
      "HAPPIER_SOCKET_OUTGOING_LIMIT_BYTES (2097151 bytes) must be at least twice HAPPIER_BODY_LIMIT_BYTES " +
        "(1048576 bytes)"
    ],
    [
      { HAPPIER_PRESENCE_OFFLINE_TIMEOUT_MS: "35000" },
      "HAPPIER_PRESENCE_PERSIST_THRESHOLD_MS (30000 ms) plus HAPPIER_PRESENCE_FLUSH_INTERVAL_MS (5000 ms)"
    ],
    [
      { HAPPIER_PRESENCE_DISCONNECT_GRACE_MS: "600000", HAPPIER_PRESENCE_START_GRACE_MS: "600000" },
      "HAPPIER_PRESENCE_OFFLINE_TIMEOUT_MS (600000 ms)"
    ],
    [
      { HAPPIER_PRESENCE_START_GRACE_MS: "0" },
      "HAPPIER_PRESENCE_START_GRACE_MS (0 ms) must not be below HAPPIER_PRESENCE_DISCONNECT_GRACE_MS (15000 ms)"
    ]
  ] as const) {
    it.effect(`names the variables that contradict each other in ${JSON.stringify(environment)}`, () =>
      Effect.gen(function* () {
        const problems = yield* problemsOf(environment)
        assert.strictEqual(problems.length, 1)
        for (const part of parts) assert.include(problems[0], part)
      })
    )
  }

  it.effect("has the defaults of the library it configures", () =>
    Effect.gen(function* () {
      const { config } = yield* load({})
      assert.deepStrictEqual(config.presence, {
        flushIntervalMillis: Duration.toMillis(PresenceConfig.defaults.interval),
        persistThresholdMillis: Duration.toMillis(PresenceConfig.defaults.persistThreshold),
        offlineTimeoutMillis: Duration.toMillis(PresenceConfig.defaults.offlineTimeout),
        sweepIntervalMillis: Duration.toMillis(PresenceConfig.defaults.sweepInterval),
        disconnectGraceMillis: Duration.toMillis(PresenceConfig.defaults.disconnectGrace),
        startGraceMillis: Duration.toMillis(PresenceConfig.defaults.startGrace),
        drainTimeoutMillis: Duration.toMillis(PresenceConfig.defaults.drainTimeout)
      })
    })
  )

  it.effect("has the defaults of the socket server and of the relay of calls", () =>
    Effect.gen(function* () {
      const { config } = yield* load({})
      const plain = (options: object) =>
        Object.fromEntries(
          Object.entries(options).map(([name, value]) => [
            name,
            typeof value === "string" && name !== "path" ? Duration.toMillis(value as Duration.DurationInput) : value
          ])
        )
      assert.deepStrictEqual(plain(config.realtime), plain(RealtimeOptions.defaults))
      assert.deepStrictEqual(plain(config.rpc), plain(RpcOptions.defaults))
    })
  )

  it.effect("lets every limit of the socket server follow its variable, and messages the body limit", () =>
    Effect.gen(function* () {
      const variables = Object.values(knobs)
        .map(({ name }) => name)
        .filter((name) => /^HAPPIER_(SOCKET|RPC|OWNERSHIP)_/.test(name))
      // A value that is no default and lies between all bounds.
      const set = (name: string) =>
        /OUTGOING/.test(name)
          ? "50000001"
          : /LAGGING|PAYLOAD/.test(name)
            ? "4321"
            : /DRAIN|SPREAD/.test(name)
              ? "1234"
              : "4321"
      const { config } = yield* load({
        ...Object.fromEntries(variables.map((name) => [name, set(name)])),
        HAPPIER_BODY_LIMIT_BYTES: "20000000",
        HAPPIER_CORS_ORIGINS: "https://a.example"
      })
      for (const [options, defaults] of [
        [config.realtime, RealtimeOptions.defaults],
        [config.rpc, RpcOptions.defaults]
      ] as const) {
        const unchanged = Object.entries(options).filter(
          ([name, value]) => value === defaults[name as keyof typeof defaults] && name !== "path"
        )
        assert.deepStrictEqual(unchanged, [])
      }
      assert.strictEqual(config.realtime.payloadBytesMax, 20_000_000)
      const { config: large } = yield* load({ HAPPIER_BODY_LIMIT_BYTES: "20000000" })
      assert.strictEqual(large.realtime.outgoingBytesMax, 80_000_000)
      assert.strictEqual(large.rpc.payloadBytesMax, 20_000_000)
    })
  )

  describe("HAPPIER_SQLITE_BUSY_TIMEOUT_MS", () => {
    it.effect("becomes the time a write keeps trying, where it fits below the deadline", () =>
      Effect.gen(function* () {
        const { config, warnings } = yield* load({ HAPPIER_SQLITE_BUSY_TIMEOUT_MS: "300" })
        assert.strictEqual(retryForOf(config.writerPolicy, Lane.control), 300)
        assert.strictEqual(retryForOf(config.writerPolicy, Lane.data), 300)
        assert.deepStrictEqual(warnings, [])
      })
    )

    it.effect("is cut to the deadline, with a warning for each lane", () =>
      Effect.gen(function* () {
        const { config, warnings } = yield* load({ HAPPIER_SQLITE_BUSY_TIMEOUT_MS: "30000" })
        assert.strictEqual(warnings.length, 2)
        assert.include(
          warnings[0],
          "lane control answers within its deadline of 2000 ms, so it keeps trying for 960 ms"
        )
        const resolved = Either.getOrThrow(WriterPolicy.resolve(config.writerPolicy))
        for (const lane of resolved.lanes) assert.isAtMost(WriterPolicy.worstCaseMillis(lane), lane.deadlineMillis)
      })
    )

    it.effect("leaves a valid policy for every value it allows", () =>
      Effect.forEach([0, 1, 39, 40, 950, 960, 961, 2420, 2421, 600_000], (millis) =>
        Effect.gen(function* () {
          const { config } = yield* load({ HAPPIER_SQLITE_BUSY_TIMEOUT_MS: String(millis) })
          assert.isTrue(Either.isRight(WriterPolicy.resolve(config.writerPolicy)), String(millis))
        })
      )
    )
  })

  it.effect("makes every lane as durable as HAPPIER_SQLITE_SYNCHRONOUS says", () =>
    Effect.gen(function* () {
      const { config: full } = yield* load({ HAPPIER_SQLITE_SYNCHRONOUS: "extra" })
      assert.isTrue(full.writerPolicy.lanes.every(({ durability }) => durability === "power-loss"))
      const { config: normal, warnings } = yield* load({ HAPPIER_SQLITE_SYNCHRONOUS: "NORMAL" })
      assert.isTrue(normal.writerPolicy.lanes.every(({ durability }) => durability === "process-crash"))
      assert.strictEqual(warnings.length, 1)
    })
  )

  it("is documented line by line", () => {
    const documented = table("operations.md", "Variable").map(([name, fallback, allowed, meaning]) => ({
      names: codes(name),
      fallback: codes(fallback)[0] ?? "",
      allowed,
      meaning
    }))
    const declared = Object.values(knobs).map((knob) => ({
      names: knob.alias === undefined ? [knob.name] : [knob.name, knob.alias],
      fallback: knob.fallback,
      allowed: knob.allowed,
      meaning: knob.meaning
    }))
    assert.deepStrictEqual(documented, declared)
  })
})
