/**
 * Goal: a second server on the same directory, started by mistake, damages
 * nothing.
 * Method: registrations at both at the same time, then look at the file.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as ForeignLock from "presence-effect/testing/ForeignLock"
import * as Client from "../accounts/Client.ts"
import * as AckLog from "../support/AckLog.ts"
import * as BuiltServer from "../support/BuiltServer.ts"
import * as Device from "../support/Device.ts"
import * as Eventually from "../support/Eventually.ts"

describe("two servers on one directory", () => {
  it.scopedLive(
    "both serve, lose nothing that either acknowledged, and end in time while a third process holds the lock",
    () =>
      Effect.gen(function* () {
        const first = yield* BuiltServer.start()
        const second = yield* BuiltServer.start({}, { directory: first.directory })
        const keys = Client.make()
        const log = AckLog.make()
        const devices = yield* Effect.forEach([first, second], ({ url }) => Device.login(url, keys))
        // The directory holds the secret, so a token of one is good at the other.
        for (const { url } of [first, second]) {
          const { status } = yield* Device.request(`${url}/v1/machines`, {
            headers: { authorization: `Bearer ${devices[0]?.token}` }
          })
          assert.strictEqual(status, 200)
        }
        const registrations = yield* Effect.forEach(devices, (device) => log.keepRegistering(device, 5))
        yield* Eventually.until(
          Effect.sync(() => log.answers.length),
          (count) => count >= 60
        )
        yield* Effect.all(registrations, { concurrency: "unbounded" })
        const refused = log.answers.filter(({ status }) => status !== 200)
        assert.deepStrictEqual(
          refused.filter(({ status }) => status !== 503),
          []
        )
        assert.isAtLeast(log.acknowledged.size, 30)

        // Nothing waits to be written, so nobody has to wait for the lock.
        yield* ForeignLock.hold(first.databaseFile)
        const ends = yield* Effect.all([first.end("SIGTERM"), second.end("SIGTERM")], { concurrency: "unbounded" })
        assert.deepStrictEqual(
          ends.map(({ code }) => code),
          [0, 0],
          first.output() + second.output()
        )
        assert.isBelow(Math.max(...ends.map(({ millis }) => millis)), 10_000)
        assert.deepStrictEqual(log.missing(first), [])
        assert.deepStrictEqual(first.rows("PRAGMA integrity_check"), [{ integrity_check: "ok" }])
        yield* Effect.log(`${log.acknowledged.size} acknowledged, ${refused.length} refused`)
      }),
    40_000
  )
})
