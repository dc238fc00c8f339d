import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Either, Redacted } from "effect"
import path from "node:path"
import * as Lane from "presence-effect/writer/Lane"
import * as PresenceConfig from "presence-effect/presence/PresenceConfig"
import * as WriterPolicy from "presence-effect/writer/WriterPolicy"
import * as RateLimit from "../../src/door/RateLimit.ts"
import * as ChangePruner from "../../src/changes/ChangePruner.ts"
import * as RealtimeOptions from "../../src/realtime/RealtimeOptions.ts"
import * as RpcOptions from "../../src/rpc/RpcOptions.ts"
import * as ServerConfig from "../../src/config/ServerConfig.ts"

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
      assert.strictEqual(config.signUp, "open")
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
          `HAPPIER_PRESENCE_FLUSH_INTERVAL_MS is "5s"; allowed: 100 to 3600000 ms`,
          `METRICS_ENABLED is "perhaps"; allowed: 1, true, yes, on; 0, false, no, off`,
          `PORT is "70000"; allowed: 0 to 65535`
        ].toSorted()
      )
    })
  )

  it.effect("refuses several servers over a file, or with a secret of their own each", () =>
    Effect.gen(function* () {
      const REDIS_URL = "redis://:canary@redis"
      const problems = yield* problemsOf({ REDIS_URL })
      assert.lengthOf(problems, 2)
      assert.include(problems.join(), "one server alone serves a file")
      assert.include(problems.join(), "HANDY_MASTER_SECRET is not")
      assert.notInclude(problems.join(), "canary")
      const { config } = yield* load({
        REDIS_URL,
        DATABASE_URL: "postgres://u@db/light",
        HANDY_MASTER_SECRET: "a secret that is long enough to be one"
      })
      assert.isDefined(config.redisUrl)
    })
  )

  for (const [variable, value, reason] of [
    ["HAPPIER_DB_PROVIDER", "mysql", "Only SQLite files and PostgreSQL are supported"],
    ["HAPPIER_DB_PROVIDER", "postgres", "DATABASE_URL names no PostgreSQL"],
    ["DATABASE_URL", "mysql://u@h/d", "Only SQLite files and PostgreSQL are supported"],
    ["DATABASE_URL", "postgres://u:p#w@h/d", "It is not a URL; special characters of the password must be encoded"],
    ["DATABASE_URL", "postgres:///d", "It must name a host"],
    ["DATABASE_URL", "postgres://u@h", "It must name a database"],
    ["HAPPY_DB_PROVIDER", "pglite", "A PGlite directory is not an SQLite file"],
    ["HAPPIER_SQLITE_JOURNAL_MODE", "DELETE", "every reader would stop the writer"],
    ["HAPPIER_SQLITE_SYNCHRONOUS", "OFF", "OFF can leave a damaged file behind"],
    ["HAPPIER_CORS_ORIGINS", "*, https://a.example", "* must be the only item"],
    ["HAPPIER_CORS_ORIGINS", "https://a.example/app", "without a path"],
    ["HAPPIER_TRUSTED_PROXIES", "loopback, 10.0.0.0/40", "10.0.0.0/40: neither an address nor a network"],
    ["HAPPIER_TRUSTED_PROXIES", "everybody", "everybody: neither an address nor a network"],
    ["HAPPIER_TRUSTED_PROXIES", "true", "name the proxy in HAPPIER_TRUSTED_PROXIES"],
    ["HAPPIER_SERVER_TRUST_PROXY", "1", "name the proxy in HAPPIER_TRUSTED_PROXIES"],
    ["HAPPIER_CORS_ORIGINS", "localhost", "without a path"],
    ["HAPPIER_CORS_ORIGINS", "tauri://localhost/app", "without a path"],
    ["HAPPIER_CORS_ORIGINS", "https://me:secret@a.example", "without a path"],
    ["HAPPIER_CORS_ORIGINS", "null", "without a path"],
    ["PUBLIC_URL", "https://a.example/?x=1", "A query or a fragment"],
    ["PUBLIC_URL", "ftp://a.example", "an http or https URL"],
    ["AUTH_ANONYMOUS_SIGNUP_ENABLED", "maybe", "first-account"],
    ["HAPPIER_STATUS_PAGE", "token", "HAPPIER_OPERATOR_TOKEN is not set"],
    ["HAPPIER_METRICS_ACCESS", "token", "HAPPIER_OPERATOR_TOKEN is not set"],
    ["HAPPIER_METRICS_ACCESS", "off", "allowed: loopback, token, open"],
    ["HAPPIER_OPERATOR_TOKEN", "has a space in it", "without spaces"],
    ["AUTH_REQUIRED_LOGIN_PROVIDERS", "github", "AUTH_ANONYMOUS_SIGNUP_ENABLED"]
  ] as const) {
    it.effect(`refuses ${variable}=${value} with a reason`, () =>
      Effect.gen(function* () {
        const [problem, ...others] = yield* problemsOf({ [variable]: value })
        assert.deepStrictEqual(others, [])
        assert.include(problem, variable)
        assert.include(problem, reason)
      })
    )
  }

  it.effect("never shows a secret or an address with a password", () =>
    Effect.gen(function* () {
      const problems = yield* problemsOf({
        HANDY_MASTER_SECRET: "short-canary",
        HAPPIER_OPERATOR_TOKEN: "the canary",
        DATABASE_URL: "postgres://u:canary@h"
      })
      assert.strictEqual(problems.length, 3)
      assert.notInclude(problems.join(), "canary")
    })
  )

  it.effect("takes the address of a PostgreSQL database, and shows where it is without its password", () =>
    Effect.gen(function* () {
      for (const [url, place] of [
        ["postgres://u:canary@db.internal/light", "postgres://db.internal:5432/light"],
        ["postgresql://u:canary@db.internal:6432/light?sslmode=require", "postgres://db.internal:6432/light"],
        ["postgres://u:canary@localhost/light?host=/run/postgresql", "postgres:///run/postgresql/light"]
      ] as const) {
        const { config } = yield* load({ DATABASE_URL: url, HAPPIER_DB_PROVIDER: "postgresql" })
        assert.strictEqual(config.postgres?.address.place, place)
        assert.strictEqual(config.postgres && Redacted.value(config.postgres.address.url), url)
        assert.notInclude(JSON.stringify(config), "canary")
      }
    })
  )

  it.effect("refuses with PostgreSQL what only a file has, and limits accounts as with a file", () =>
    Effect.gen(function* () {
      const url = "postgres://u@h/d"
      const problems = yield* problemsOf({
        DATABASE_URL: url,
        HAPPIER_DB_PROVIDER: "sqlite",
        HAPPIER_BACKUP_INTERVAL_MS: "1000"
      })
      assert.deepStrictEqual(problems, [
        "HAPPIER_DB_PROVIDER is sqlite, but DATABASE_URL names PostgreSQL",
        "HAPPIER_BACKUP_INTERVAL_MS is set, but a PostgreSQL database is backed up with pg_dump; unset it"
      ])
      const quotaOf = (environment: { readonly [name: string]: string }) =>
        Effect.map(load({ DATABASE_URL: url, ...environment }), ({ config }) => config.quota)
      const limits = { bytes: 1_073_741_824, rows: 1_000_000 }
      assert.deepStrictEqual(yield* quotaOf({ HOST: "0.0.0.0" }), limits)
      assert.deepStrictEqual(yield* quotaOf({ HOST: "127.0.0.1", HAPPIER_ACCOUNT_QUOTA: "on" }), limits)
      assert.isUndefined(yield* quotaOf({ HOST: "0.0.0.0", HAPPIER_ACCOUNT_QUOTA: "off" }))
    })
  )

  it.effect("hides the secret it accepted", () =>
    Effect.gen(function* () {
      const { config } = yield* load({
        HANDY_MASTER_SECRET: "a-secret-that-is-long-enough",
        HAPPIER_OPERATOR_TOKEN: "a-token-that-is-long-enough"
      })
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

  for (const [environment, ...parts] of [
    [
      { HAPPIER_PRESENCE_DRAIN_TIMEOUT_MS: "10000" },
      "HAPPIER_PRESENCE_DRAIN_TIMEOUT_MS (10000 ms) plus 6000 ms for all other steps",
      "HAPPIER_SHUTDOWN_TIMEOUT_MS (10000 ms)"
    ],
    [
      { HAPPIER_PRESENCE_OFFLINE_TIMEOUT_MS: "35000" },
      "HAPPIER_PRESENCE_PERSIST_THRESHOLD_MS (30000 ms) and HAPPIER_PRESENCE_FLUSH_INTERVAL_MS (5000 ms)"
    ],
    [
      { HAPPIER_PRESENCE_DISCONNECT_GRACE_MS: "600000", HAPPIER_PRESENCE_START_GRACE_MS: "600000" },
      "HAPPIER_PRESENCE_OFFLINE_TIMEOUT_MS (600000 ms)"
    ],
    [
      { HAPPIER_PRESENCE_START_GRACE_MS: "0" },
      "HAPPIER_PRESENCE_START_GRACE_MS (0 ms) must not be shorter than HAPPIER_PRESENCE_DISCONNECT_GRACE_MS (15000 ms)"
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

  it.effect("has the defaults of the parts it configures", () =>
    Effect.gen(function* () {
      const { config } = yield* load({})
      const plain = (options: object) =>
        Object.fromEntries(
          Object.entries(options).map(([name, value]) => [
            name,
            typeof value === "string" && /^\d+ \w+$/.test(value)
              ? Duration.toMillis(value as Duration.DurationInput)
              : value
          ])
        )
      for (const [options, defaults] of [
        [config.presence, PresenceConfig.defaults],
        [config.realtime, RealtimeOptions.defaults],
        [config.rpc, RpcOptions.defaults],
        [config.changes, ChangePruner.defaults],
        [config.rateLimits, RateLimit.defaults]
      ] as const) {
        assert.deepStrictEqual(plain(options), plain(defaults))
      }
    })
  )

  it.effect("gives a variable to the option that its room declares", () =>
    Effect.gen(function* () {
      const { config } = yield* load({
        HAPPIER_PRESENCE_SWEEP_INTERVAL_MS: "4321",
        HAPPIER_RATE_LIMIT_READS: "4322",
        HAPPIER_SOCKET_LIMIT: "4323",
        HAPPIER_RPC_CALL_TIMEOUT_MS: "4324",
        HAPPIER_CHANGES_RETENTION_MS: "4325",
        HAPPIER_PAIRING_LIFETIME_MS: "64326",
        HAPPIER_SQLITE_START_CHECK_MS: "4327"
      })
      assert.strictEqual(config.presence.sweepInterval, 4321)
      assert.strictEqual(config.rateLimits.reads, 4322)
      assert.strictEqual(config.realtime.socketLimit, 4323)
      assert.strictEqual(config.rpc.callTimeout, 4324)
      assert.strictEqual(config.changes.retention, 4325)
      assert.strictEqual(config.pairing.lifetime, 64_326)
      assert.strictEqual(config.protection.startCheckMillis, 4327)
    })
  )

  it.effect("lets the limits that have no variable follow those that have one", () =>
    Effect.gen(function* () {
      const { config } = yield* load({
        HAPPIER_BODY_LIMIT_BYTES: "20000000",
        HAPPIER_CORS_ORIGINS: "https://a.example",
        HAPPIER_SOCKET_EVENTS_PER_SECOND: "1000",
        HAPPIER_SOCKET_EVENT_BURST: "1000",
        HAPPIER_SOCKET_HANDSHAKES_PER_SECOND: "100",
        HAPPIER_PRESENCE_OFFLINE_TIMEOUT_MS: "100000"
      })
      assert.strictEqual(config.realtime.payloadBytesMax, 20_000_000)
      assert.strictEqual(config.realtime.outgoingBytesMax, 80_000_000)
      assert.strictEqual(config.rpc.payloadBytesMax, 20_000_000)
      assert.deepStrictEqual(config.realtime.origins, ["https://a.example"])
      assert.strictEqual(config.realtime.accountEventsPerSecond, 20_000)
      assert.strictEqual(config.realtime.accountEventBurst, 40_000)
      assert.strictEqual(config.realtime.handshakeQueueLimit, 100)
      assert.strictEqual(config.presence.acceptanceWindow, 400_000)
      const { config: careful } = yield* load({ HAPPIER_SOCKET_EVENTS_PER_SECOND: "5" })
      assert.strictEqual(careful.realtime.accountEventsPerSecond, RealtimeOptions.defaults.accountEventsPerSecond)
    })
  )

  for (const [given, origins] of [
    ["tauri://localhost", ["tauri://localhost"]],
    ["capacitor://localhost, ionic://localhost/", ["capacitor://localhost", "ionic://localhost"]],
    ["app://My.App", ["app://my.app"]],
    ["http://localhost:8081/", ["http://localhost:8081"]],
    ["HTTPS://App.Example.org:443,https://app.example.org", ["https://app.example.org"]],
    ["*", ["*"]]
  ] as const) {
    it.effect(`reads HAPPIER_CORS_ORIGINS=${given} as browsers send it`, () =>
      Effect.gen(function* () {
        const { config } = yield* load({ HAPPIER_CORS_ORIGINS: given })
        assert.deepStrictEqual(config.corsOrigins, origins)
      })
    )
  }

  for (const [given, url] of [
    ["https://box.example.org/happier", "https://box.example.org/happier"],
    ["https://box.example.org/happier//", "https://box.example.org/happier"],
    ["https://me:hidden@box.example.org/", "https://box.example.org"],
    ["HTTP://Box.example.org:3005", "http://box.example.org:3005"]
  ] as const) {
    it.effect(`reads PUBLIC_URL=${given}`, () =>
      Effect.gen(function* () {
        const { config } = yield* load({ PUBLIC_URL: given })
        assert.strictEqual(config.publicUrl, url)
      })
    )
  }

  for (const [given, signUp] of [
    ["0", "closed"],
    ["FALSE", "closed"],
    ["1", "open"],
    ["first-account", "first-account"]
  ] as const) {
    it.effect(`reads AUTH_ANONYMOUS_SIGNUP_ENABLED=${given}`, () =>
      Effect.gen(function* () {
        const { config } = yield* load({ AUTH_ANONYMOUS_SIGNUP_ENABLED: given })
        assert.strictEqual(config.signUp, signUp)
      })
    )
  }

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

  it.effect("sets the durability of every lane by HAPPIER_SQLITE_SYNCHRONOUS", () =>
    Effect.gen(function* () {
      const { config: full } = yield* load({ HAPPIER_SQLITE_SYNCHRONOUS: "extra" })
      assert.isTrue(full.writerPolicy.lanes.every(({ durability }) => durability === "power-loss"))
      const { config: normal, warnings } = yield* load({ HAPPIER_SQLITE_SYNCHRONOUS: "NORMAL" })
      assert.isTrue(normal.writerPolicy.lanes.every(({ durability }) => durability === "process-crash"))
      assert.strictEqual(warnings.length, 1)
    })
  )
})
