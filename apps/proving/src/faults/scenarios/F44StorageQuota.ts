/** F44: a new account stores as much as it can. */
import { Effect } from "effect"
import path from "node:path"
import * as Client from "../../drivers/AccountClient.ts"
import * as Device from "../../drivers/Device.ts"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as Bystander from "../support/Bystander.ts"
import * as Mount from "../support/Mount.ts"
import * as Stage from "../support/Stage.ts"

const diskMebibytes = 128
const attackMillis = 8000
const connections = 3
const quotaBytes = 20_000_000
const sessionBytes = 900_000

/** More than the disk takes. */
const attemptsMax = 200

/** Opens one more session of nearly a megabyte. */
const store = (device: Device.Device) =>
  Effect.suspend(() => device.post("/v1/sessions", { tag: crypto.randomUUID(), metadata: "x".repeat(sessionBytes) }))

const statusOf = (answer: Effect.Effect<Device.Answer, Device.NoAnswer>) =>
  Effect.match(answer, { onFailure: () => 0, onSuccess: ({ status }) => status })

const stageOn = (environment: Readonly<Record<string, string>>) =>
  Effect.gen(function* () {
    const disk = yield* Mount.tmpfs(diskMebibytes)
    return yield* Stage.open({ place: { directory: path.join(disk, "data") }, sessionCount: 1, environment })
  })

/** Goes on until it is refused, and returns the refusal. */
const storeUntilRefused = (device: Device.Device) =>
  store(device).pipe(
    Effect.repeat({ times: attemptsMax, until: ({ status }) => status !== 200 }),
    Effect.map(({ body }) => String(body["code"]))
  )

/** The control group: how another account is answered once this one has stored all it can. */
const withoutQuota = Effect.scoped(
  Effect.gen(function* () {
    const stage = yield* stageOn({ HAPPIER_ACCOUNT_QUOTA: "off" })
    yield* storeUntilRefused(yield* Device.login(stage.server.url, Client.make()))
    return yield* statusOf(stage.device.post("/v1/sessions", { tag: "late", metadata: "m" }))
  })
)

export const F44StorageQuota: Scenario = {
  id: "F44",
  title: "an account stores as much as it can",
  injected:
    `${connections} connections of an account open sessions of ${sessionBytes} bytes for ${attackMillis / 1000} s, ` +
    `on a tmpfs of ${diskMebibytes} MiB, with a quota of ${quotaBytes} bytes`,
  promises: ["P1", "P7", "P10"],
  needs: ["root", "tmpfs"],
  isQuick: true,
  within: "4 minutes",
  run: () =>
    Effect.gen(function* () {
      const control = yield* withoutQuota
      const stage = yield* stageOn({ HAPPIER_ACCOUNT_QUOTA: "on", HAPPIER_ACCOUNT_QUOTA_BYTES: String(quotaBytes) })
      const greedy = yield* Device.login(stage.server.url, Client.make())
      const { answer, observations } = yield* Bystander.during(
        stage,
        Bystander.repeated(connections, attackMillis, statusOf(store(greedy)))
      )
      const refusal = yield* storeUntilRefused(greedy)
      const usage = yield* greedy.get("/v1/account/storage")
      const readiness = yield* Stage.readiness(stage.server)
      const other = yield* statusOf(stage.device.post("/v1/sessions", { tag: "late", metadata: "m" }))
      const { body } = yield* greedy.get("/v2/sessions?limit=1")
      const removed = yield* statusOf(greedy.remove(`/v1/sessions/${String(body["sessions"]?.[0]?.id)}`))
      const again = yield* statusOf(store(greedy))
      return [
        Observe.equal("without a quota, a session of another account afterwards", control, 503),
        ...observations,
        ...Bystander.refused(answer, [200, 503, 0]),
        Observe.equal("code of a refusal", refusal, "QuotaExceeded"),
        Observe.atMost("bytes that the account stores", Number(usage.body["bytes"]), quotaBytes),
        Observe.atLeast("bytes that the account stores", Number(usage.body["bytes"]), quotaBytes - sessionBytes - 1000),
        Observe.equal("readiness", readiness, 200),
        Observe.equal("a session of another account", other, 200),
        Observe.equal("deleting a session at the quota", removed, 200),
        Observe.equal("a session in its place", again, 200)
      ]
    })
}
