/**
 * An account with one of everything, each named by a text that is found again
 * wherever it appears.
 */
import { Effect, type Scope } from "effect"
import { randomBytes, randomUUID } from "node:crypto"
import * as Client from "../../src/drivers/AccountClient.ts"
import type { Server } from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as Eventually from "../../src/drivers/Eventually.ts"

export interface AccountFixture {
  readonly device: Device.Device
  readonly accountId: string
  readonly keys: ReturnType<typeof Client.make>
  readonly sid: string
  readonly machineId: string
  readonly messageId: string
  readonly tag: string
  readonly usageKey: string
  readonly artifactId: string
  readonly keyName: string
  readonly deviceId: string
  readonly pushToken: string
  /** A method that its agent answers. */
  readonly method: string
  /** Keys of pairings that it answered, base64. */
  readonly pairings: { readonly terminal: string; readonly account: string }
  readonly lines: { readonly app: Device.Line; readonly agent: Device.Line; readonly daemon: Device.Line }
  /** Ids, and the content of its rows: none of it may be visible to another account. */
  readonly marks: ReadonlyArray<string>
}

const done = (what: string, answer: Effect.Effect<Device.Answer, Device.NoAnswer>) =>
  Effect.flatMap(Effect.orDie(answer), ({ body, status, text }) =>
    status === 200 ? Effect.succeed(body) : Effect.dieMessage(`${what}: ${status} ${text}`)
  )

/** Asks for a pairing as a new device does, and answers it as the account. */
const paired = (device: Device.Device, path: string, mark: string) =>
  Effect.gen(function* () {
    const publicKey = randomBytes(32).toString("base64")
    yield* done("pairing", Device.post(`${device.url}${path}/request`, { publicKey }))
    yield* done("answer", device.post(`${path}/response`, { publicKey, response: mark }))
    return publicKey
  })

export const make = (url: string): Effect.Effect<AccountFixture, never, Scope.Scope> =>
  Effect.gen(function* () {
    const mark = `mark-${randomUUID()}`
    const keys = Client.make()
    const device = yield* Device.login(url, keys)
    const accountId = String((yield* done("profile", device.get("/v1/account/profile")))["id"])
    const machineId = randomUUID()
    yield* done("machine", device.post("/v1/machines", { id: machineId, metadata: mark, daemonState: mark }))
    const tag = `${mark} tag`
    const opened = yield* done("session", device.post("/v1/sessions", { tag, metadata: mark, agentState: mark }))
    const sid = String(opened["session"].id)
    const sent = yield* done(
      "message",
      device.post(`/v2/sessions/${sid}/messages`, { ciphertext: mark, localId: randomUUID() })
    )
    const messageId = String(sent["message"].id)
    const usageKey = `${mark} usage`
    const report = { key: usageKey, sessionId: sid, tokens: { total: 1 }, cost: { total: 1 } }
    yield* done("usage", device.post("/v2/usage-reports", report))
    yield* done("settings", device.post("/v1/account/settings", { settings: mark, expectedVersion: 0 }))
    const encoded = Buffer.from(mark).toString("base64")
    const artifactId = randomUUID()
    yield* done(
      "artifact",
      device.post("/v1/artifacts", { id: artifactId, header: encoded, body: encoded, dataEncryptionKey: encoded })
    )
    const keyName = `${mark} key`
    yield* done("key", device.post("/v1/kv", { mutations: [{ key: keyName, value: encoded, version: -1 }] }))
    const pushToken = `${mark} phone`
    yield* done("push token", device.post("/v1/push-tokens", { token: pushToken }))
    yield* done("vendor", device.post("/v1/connect/anthropic/register", { token: mark }))
    yield* done("access key", device.post(`/v1/access-keys/${sid}/${machineId}`, { data: mark }))
    const pairings = {
      terminal: yield* paired(device, "/v1/auth", mark),
      account: yield* paired(device, "/v1/auth/account", mark)
    }
    const lines = {
      app: yield* device.connect({ clientType: "user-scoped" }),
      agent: yield* device.connect({ clientType: "session-scoped", sessionId: sid }),
      daemon: yield* device.connect({ clientType: "machine-scoped", machineId })
    }
    const { devices } = yield* done("devices", device.get("/v1/account/devices"))
    const deviceId = String(devices[0].id)
    const method = `${sid}:bash`
    lines.agent.socket.on("rpc-request", (_: unknown, answer: (result: string) => void) => answer(mark))
    lines.agent.socket.emit("rpc-register", { method })
    yield* lines.agent.until(({ event }) => event === "rpc-registered")
    return {
      device,
      accountId,
      keys,
      sid,
      machineId,
      messageId,
      tag,
      usageKey,
      artifactId,
      keyName,
      deviceId,
      pushToken,
      method,
      pairings,
      lines,
      marks: [mark, encoded, accountId, sid, machineId, messageId, artifactId, deviceId, device.token]
    }
  })

/** Presence is in the file within a moment, however small its change. */
export const environment = {
  HAPPIER_PRESENCE_FLUSH_INTERVAL_MS: "200",
  HAPPIER_PRESENCE_PERSIST_THRESHOLD_MS: "0"
}

/** Earlier heartbeats are in the file: a later one of the same account is. */
export const flushed = (server: Server, { device, lines }: AccountFixture) =>
  Effect.gen(function* () {
    const id = yield* Device.openSession(device, `witness ${randomUUID()}`)
    const witness = Device.pulse(lines.app, "session", id)
    witness.beat()
    yield* Eventually.until(
      Effect.sync(() => Number(server.rows("SELECT lastActiveAt FROM Session WHERE id = ?", id)[0]?.["lastActiveAt"])),
      (stored) => stored >= Math.max(...witness.said)
    )
  })
