/**
 * Goal: a second server on the same directory, started by mistake, damages
 * nothing, because it does not start; and the lock that stops it never stops a
 * restart.
 * Method: start it while the first registers machines, then kill the first and
 * start at once.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as AckLog from "../../src/drivers/AckLog.ts"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as Eventually from "../../src/drivers/Eventually.ts"

describe("two servers on one directory", () => {
  it.scopedLive(
    "the second reports which process has the file and ends with a code of its own, while the first goes on",
    () =>
      Effect.gen(function* () {
        const first = yield* BuiltServer.start()
        const device = yield* Device.login(first.url, Client.make())
        const log = AckLog.make()
        const stop = yield* log.keepRegistering(device, 5)
        const second = yield* BuiltServer.make({}, { directory: first.directory })
        yield* second.launch
        assert.strictEqual((yield* second.ended).code, 6)
        assert.include(second.output(), `${first.databaseFile} is in use by process ${yield* first.pid} on `)
        const before = log.acknowledged.size
        yield* Eventually.until(
          Effect.sync(() => log.acknowledged.size),
          (count) => count >= before + 10
        )
        yield* stop
        assert.deepStrictEqual(
          log.answers.filter(({ status }) => status !== 200),
          []
        )
        assert.deepStrictEqual(log.missing(first), [])
        assert.deepStrictEqual(first.rows("PRAGMA integrity_check"), [{ integrity_check: "ok" }])
      }),
    40_000
  )

  it.scopedLive(
    "a server that was killed leaves nothing behind that stops the next one",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start()
        for (let round = 0; round < 3; round++) {
          yield* server.end("SIGKILL")
          yield* server.start
        }
        assert.strictEqual((yield* server.end("SIGTERM")).code, 0)
        yield* server.start
      }),
    40_000
  )
})
