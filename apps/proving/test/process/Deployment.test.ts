/**
 * Goal: what `deploy` contains works as it is: proxies, the unit, the container and the compose file, and checkpoints
 * that are left to another program.
 * Method: the programs of Debian with these files in front of the built server; each is skipped where it is missing
 * (`apt-get install caddy nginx systemd`).
 */
import { assert, describe, it } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import { Effect } from "effect"
import { execFileSync, spawnSync } from "node:child_process"
import fs from "node:fs"
import path from "node:path"
import { parse } from "yaml"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as Proxy from "../../src/drivers/Proxy.ts"
import * as TemporaryDirectory from "../../src/drivers/TemporaryDirectory.ts"

const read = (file: string) => fs.readFileSync(path.join(Proxy.deployDirectory, file), "utf8")

const statusOf = (url: string, init?: RequestInit) =>
  Effect.map(Effect.orDie(Device.request(url, init)), ({ status }) => status)

const register = (device: Device.Device, id: string) =>
  Effect.map(Effect.orDie(device.post("/v1/machines", { id, metadata: "m" })), ({ status }) =>
    assert.strictEqual(status, 200)
  )

for (const program of [Proxy.caddy, Proxy.nginx]) {
  describe(`deploy: ${program.name}`, () => {
    it.scopedLive.skipIf(!Proxy.isInstalled(program))(
      "passes on requests and websockets with the address of the client, and keeps page and metrics private",
      () =>
        Effect.gen(function* () {
          const server = yield* BuiltServer.start({ HAPPIER_TRUSTED_PROXIES: "loopback", HAPPIER_RATE_LIMIT_AUTH: "5" })
          const url = yield* Proxy.start(program, server)
          const device = yield* Device.login(url, Client.make())
          yield* register(device, "m")
          const line = yield* device.connect({ clientType: "machine-scoped", machineId: "m" })
          yield* line.settled
          assert.strictEqual(line.socket.io.engine.transport.name, "websocket")
          assert.strictEqual(yield* statusOf(`${url}/metrics`), 404)
          assert.strictEqual(yield* statusOf(`${url}/status`), 404)
          // The same without the proxy.
          assert.strictEqual(yield* statusOf(`${server.url}/metrics`), 200)
          const page = yield* Device.dial(`${url}/status`, {})
          const refusal = yield* page.until(({ event }) => event === "connect_error")
          assert.include(String(refusal.payload), "Only the operator may look")
          // A message of 8 MB, the largest that the server takes, is not too large for the proxy.
          const body = JSON.stringify({ messages: [{ content: "x".repeat(7_000_000), localId: "l" }] })
          const headers = { authorization: `Bearer ${device.token}`, "content-type": "application/json" }
          const sessionId = yield* Device.openSession(device, "t")
          const sent = yield* statusOf(`${url}/v3/sessions/${sessionId}/messages`, { method: "POST", headers, body })
          assert.strictEqual(sent, 200)
        }),
      60_000
    )
  })
}

describe("deploy: systemd", () => {
  const analyze = "/usr/bin/systemd-analyze"
  const unit = path.join(Proxy.deployDirectory, "systemd/light-server.service")

  it.skipIf(!fs.existsSync(analyze))("has an exposure of 2.5 at most", () => {
    const { status, stdout } = spawnSync(analyze, ["security", "--offline=true", "--threshold=25", unit], {
      encoding: "utf8"
    })
    assert.strictEqual(status, 0, stdout)
    assert.match(stdout, /Overall exposure level for light-server\.service: [0-2]\.\d/)
  })

  it.scoped.skipIf(!fs.existsSync(analyze))("is a unit that systemd understands completely", () =>
    Effect.gen(function* () {
      const directory = yield* TemporaryDirectory.make
      const file = path.join(directory, "light-server.service")
      // The program is not installed here.
      fs.writeFileSync(file, fs.readFileSync(unit, "utf8").replace(/^ExecStart=\S+/m, `ExecStart=${process.execPath}`))
      const { status, stderr } = spawnSync(analyze, ["verify", "--man=no", file], { encoding: "utf8" })
      const own = stderr.split("\n").filter((line) => line.includes("light-server.service"))
      assert.deepStrictEqual({ status, own }, { status: 0, own: [] })
    })
  )
})

interface Compose {
  readonly services: {
    readonly [name: string]: {
      readonly environment?: { readonly [variable: string]: string }
      readonly volumes: ReadonlyArray<string>
      readonly read_only?: boolean
      readonly user?: string
      readonly ports?: ReadonlyArray<string>
    }
  }
}

describe("deploy: container", () => {
  it("runs without root, with a health check, and from what the repository builds", () => {
    const [, build = "", run = ""] = read("container/Containerfile").split(/^FROM /m)
    assert.match(build, /scripts\/pack\.mjs/)
    assert.match(run, /^USER node$/m)
    assert.match(run, /^HEALTHCHECK /m)
    assert.notMatch(run, /^RUN .*(apt-get|npm)/m)
    assert.isTrue(fs.existsSync(path.join(Proxy.deployDirectory, "../scripts/pack.mjs")))
  })

  it.scopedLive("has a health check that follows the readiness of the server", () =>
    Effect.gen(function* () {
      const [, script = ""] = /CMD \["node", "-e", "(.*)"\]/.exec(read("container/Containerfile")) ?? []
      const check = (port: string) => {
        try {
          execFileSync(process.execPath, ["-e", script], { env: { PORT: port } })
          return "healthy"
        } catch {
          return "unhealthy"
        }
      }
      const server = yield* BuiltServer.start()
      assert.strictEqual(check(new URL(server.url).port), "healthy")
      yield* server.end("SIGTERM")
      assert.strictEqual(check(new URL(server.url).port), "unhealthy")
    })
  )

  it("leaves checkpoints to Litestream, which reads the same file as the same user, on read-only roots", () => {
    const { services } = parse(read("compose.yaml")) as Compose
    const server = services["light-server"]
    const litestream = services["litestream"]
    assert.strictEqual(server?.environment?.["HAPPIER_SQLITE_WAL_CHECKPOINT_INTERVAL_MS"], "0")
    assert.deepStrictEqual([server?.read_only, litestream?.read_only], [true, true])
    assert.deepStrictEqual(server?.ports, ["127.0.0.1:3005:3005"])
    const { dbs } = parse(read("litestream.yml")) as { readonly dbs: ReadonlyArray<{ readonly path: string }> }
    assert.deepStrictEqual(
      dbs.map(({ path }) => path),
      ["/data/happier-server-light.sqlite"]
    )
    for (const service of [server, litestream]) assert.include(service?.volumes ?? [], "data:/data")
    // The user `node` of the image.
    assert.strictEqual(litestream?.user, "1000:1000")
  })
})

describe("checkpoints of another program", () => {
  it.scopedLive(
    "are the only ones: the log grows until that program copies it, and nothing is lost, also at the end",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start({ HAPPIER_SQLITE_WAL_CHECKPOINT_INTERVAL_MS: "0" })
        const outside = yield* Effect.acquireRelease(
          Effect.sync(() => new Sqlite(server.databaseFile)),
          (sqlite) => Effect.sync(() => sqlite.close())
        )
        outside.pragma("wal_autocheckpoint = 0")
        // As Litestream does: an open read keeps the last connection from emptying the log at the end of the server.
        const device = yield* Device.login(server.url, Client.make())
        const metadata = "m".repeat(20_000)
        const write = (from: number) =>
          Effect.forEach(
            Array.from({ length: 40 }, (_, index) => from + index),
            (index) => Effect.orDie(device.post("/v1/machines", { id: `m${index}`, metadata }))
          )
        const logBytes = () => fs.statSync(`${server.databaseFile}-wal`).size
        yield* write(0)
        const first = logBytes()
        yield* write(40)
        const second = logBytes()
        // Nobody has copied anything: the log has only grown.
        assert.isAbove(first, 800_000)
        assert.isAbove(second, first + 800_000)
        const [copied] = outside.pragma("wal_checkpoint(PASSIVE)") as ReadonlyArray<{
          readonly busy: number
          readonly log: number
          readonly checkpointed: number
        }>
        assert.strictEqual(copied?.busy, 0)
        assert.strictEqual(copied?.checkpointed, copied?.log)
        assert.isAbove(copied?.log ?? 0, 300)
        // The log begins again in place, and does not grow further.
        yield* write(80)
        assert.strictEqual(logBytes(), second)
        const inLog =
          (outside.pragma("wal_checkpoint(PASSIVE)") as ReadonlyArray<{ readonly log: number }>)[0]?.log ?? 0
        assert.isAbove(inLog, 0)
        yield* write(120)
        const { code } = yield* server.end("SIGTERM")
        assert.strictEqual(code, 0)
        assert.strictEqual(outside.prepare(`SELECT count(*) FROM "Machine"`).pluck().get(), 160)
        assert.isAbove(logBytes(), 0)
        assert.strictEqual(outside.pragma("integrity_check", { simple: true }), "ok")
      }),
    60_000
  )
})
