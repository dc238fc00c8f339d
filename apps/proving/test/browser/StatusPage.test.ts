/**
 * Goal: the operator sees in a browser how the server is, live, also with a
 * keyboard, a screen reader or a phone, and strangers see nothing.
 * Method: the built server, Chromium and axe-core. With `SCREENSHOTS=folder`
 * pictures are kept.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import fs from "node:fs"
import type { Page } from "playwright-core"
import * as ForeignLock from "presence-effect/testing/ForeignLock"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as Browser from "../../src/drivers/Browser.ts"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as OperatorCommand from "../../src/drivers/OperatorCommand.ts"
import * as TimeLimit from "../../src/drivers/TimeLimit.ts"

const test = it.scopedLive.skipIf(!Browser.isInstalled)

const register = (device: Device.Device, id: string) =>
  Effect.gen(function* () {
    const { status } = yield* Effect.orDie(device.post("/v1/machines", { id, metadata: "m" }))
    assert.strictEqual(status, 200)
  })

const connectMachine = (device: Device.Device, machineId: string) =>
  device.connect({ clientType: "machine-scoped", machineId })

const badgeOf = (page: Page, id: string) => page.locator("tr", { hasText: id }).locator(".badge")

/** Longer than anything takes, also on a busy box. */
const hangMillis = 60_000

/** Waits in the page itself, so that the time is that of the page. */
const millisUntil = (page: Page, id: string, badge: string) =>
  Effect.promise(async () => {
    const began = performance.now()
    await badgeOf(page, id)
      .and(page.locator(`[data-badge="${badge}"]`))
      .waitFor({ timeout: hangMillis })
    return performance.now() - began
  })

const lineSays = (page: Page, text: string) =>
  Effect.promise(() => page.locator("#line", { hasText: text }).waitFor({ timeout: hangMillis }))

const live = (page: Page) =>
  Effect.promise(() => page.locator('#link[data-state="live"]').waitFor({ timeout: hangMillis }))

/** Some machines and sessions in every state. */
const populate = (url: string) =>
  Effect.gen(function* () {
    const device = yield* Device.login(url, Client.make())
    for (const name of ["laptop", "workstation", "build-server"]) yield* register(device, `${name}-${"7f3a".repeat(4)}`)
    yield* connectMachine(device, `laptop-${"7f3a".repeat(4)}`)
    yield* connectMachine(device, `workstation-${"7f3a".repeat(4)}`)
    for (const tag of ["a", "b", "c"]) {
      const sessionId = yield* Device.openSession(device, tag)
      if (tag !== "c") yield* device.connect({ clientType: "session-scoped", sessionId })
    }
    return device
  })

describe("the status page in a browser", () => {
  test(
    "shows a machine that connects within a second, and one that leaves",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start({
          HAPPIER_PRESENCE_DISCONNECT_GRACE_MS: "300",
          HAPPIER_PRESENCE_START_GRACE_MS: "1000",
          HAPPIER_PRESENCE_SWEEP_INTERVAL_MS: "1000"
        })
        const device = yield* Device.login(server.url, Client.make())
        yield* register(device, "machine-one")
        const { errors, page } = yield* Browser.open(yield* Browser.launch, `${server.url}/`)
        // A browser that opens the root is led to the page.
        assert.strictEqual(page.url(), `${server.url}/status`)
        yield* live(page)
        yield* lineSays(page, "All is well.")
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* connectMachine(device, "machine-one")
            TimeLimit.holds("ms until it is shown", yield* millisUntil(page, "machine-one", "connected"), 1000)
            // One that nobody knew before.
            yield* register(device, "machine-two")
            yield* connectMachine(device, "machine-two")
            TimeLimit.holds("ms until it is shown", yield* millisUntil(page, "machine-two", "connected"), 1000)
          })
        )
        yield* millisUntil(page, "machine-one", "offline")
        assert.deepStrictEqual(errors, [])
      }),
    240_000
  )

  test(
    "shows the last backup, 'never' before the first one, and a backup whose file was deleted",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start()
        const { errors, page } = yield* Browser.open(yield* Browser.launch, `${server.url}/status`)
        const figure = page.locator("#figures dt", { hasText: "Last backup" }).locator("+ dd")
        const says = (text: RegExp) =>
          Effect.promise(() => figure.filter({ hasText: text }).waitFor({ timeout: 10_000 }))
        yield* says(/^never$/)
        const { file } = yield* OperatorCommand.json(["backup"], { directory: server.directory })
        yield* says(/^\d+ s ago, [\d.]+ KB, verified$/)
        fs.rmSync(file)
        yield* says(/ ago, [\d.]+ KB, its file is gone$/)
        assert.deepStrictEqual(errors, [])
      }),
    60_000
  )

  test(
    "shows a lock of another process with what to do, and that it is gone",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start()
        const device = yield* Device.login(server.url, Client.make())
        const { errors, page } = yield* Browser.open(yield* Browser.launch, `${server.url}/status`)
        yield* lineSays(page, "All is well.")
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* ForeignLock.hold(server.databaseFile)
            yield* Effect.fork(Effect.ignore(device.post("/v1/machines", { id: "late", metadata: "m" })))
            yield* lineSays(page, "The server has a problem.")
            const advice = yield* Effect.promise(() => page.locator("#advice").textContent())
            assert.include(advice ?? "", "Another process holds the lock of the database.")
            assert.include(advice ?? "", "Nothing needs a restart.")
            yield* Browser.keepPicture(page, "status-problem")
            assert.deepStrictEqual(yield* Browser.barriers(page), [])
          })
        )
        yield* lineSays(page, "All is well.")
        assert.deepStrictEqual(errors, [])
      }),
    240_000
  )

  test(
    "comes back by itself after a restart of the server",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start()
        const { page } = yield* Browser.open(yield* Browser.launch, `${server.url}/status`)
        yield* lineSays(page, "All is well.")
        yield* server.end("SIGTERM")
        // The first attempt to come back replaces the text of the loss, half a second later.
        yield* Effect.promise(() => page.locator('#line[data-level="lost"]').waitFor({ timeout: hangMillis }))
        yield* server.start
        yield* lineSays(page, "All is well.")
      }),
    240_000
  )

  for (const [name, options] of [
    ["light", { colorScheme: "light", viewport: { width: 1280, height: 900 } }],
    ["dark", { colorScheme: "dark", viewport: { width: 1280, height: 900 } }],
    ["phone", { colorScheme: "light", viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true }]
  ] as const) {
    test(
      `has no barrier and needs no scrolling to the side: ${name}`,
      () =>
        Effect.gen(function* () {
          const server = yield* BuiltServer.start({ HAPPIER_PRESENCE_FLUSH_INTERVAL_MS: "300" })
          const device = yield* populate(server.url)
          const { errors, page } = yield* Browser.open(yield* Browser.launch, `${server.url}/status`, options)
          yield* live(page)
          yield* millisUntil(page, "laptop", "connected")
          for (let tick = 0; tick < 12; tick++) {
            yield* register(device, `extra-${tick}`)
            yield* Effect.scoped(connectMachine(device, `extra-${tick}`))
            yield* Effect.sleep("150 millis")
          }
          yield* Effect.promise(() => page.locator("#ticks rect").nth(1).waitFor({ state: "attached" }))
          assert.deepStrictEqual(yield* Browser.barriers(page), [])
          const overhang = yield* Effect.promise(() =>
            page.evaluate<number>("document.documentElement.scrollWidth - document.documentElement.clientWidth")
          )
          assert.isAtMost(overhang, 0)
          yield* Browser.keepPicture(page, `status-${name}`)
          assert.deepStrictEqual(errors, [])
        }),
      240_000
    )
  }

  test(
    "asks for the token where the operator demands one, and shows nothing without it",
    () =>
      Effect.gen(function* () {
        const token = "a-token-of-the-operator"
        const server = yield* BuiltServer.start({ HAPPIER_STATUS_PAGE: "token", HAPPIER_OPERATOR_TOKEN: token })
        const browser = yield* Browser.launch
        const status = (headers: Record<string, string>) =>
          Effect.map(Effect.orDie(Device.request(`${server.url}/status`, { headers })), ({ status }) => status)
        assert.strictEqual(yield* status({}), 401)
        assert.strictEqual(yield* status({ authorization: "Bearer another-token-entirely" }), 401)
        assert.strictEqual(yield* status({ authorization: `Bearer ${token}` }), 200)
        const { errors, page } = yield* Browser.open(browser, `${server.url}/status`, {
          httpCredentials: { username: "operator", password: token }
        })
        yield* live(page)
        yield* lineSays(page, "All is well.")
        assert.deepStrictEqual(errors, [])
        // The page in a browser with a right cookie needs no password for its socket; without either it is refused.
        const line = yield* Device.dial(`${server.url}/status`, {})
        const refusal = yield* line.until(({ event }) => event === "connect_error")
        assert.include(String(refusal.payload), "Only the operator may look")
      }),
    240_000
  )
})
