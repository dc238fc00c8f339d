/**
 * Goal: a parent process that does not read the output of the server does not
 * stop it. Method: a server that logs every request, and a parent that never
 * reads.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import path from "node:path"
import { fileURLToPath } from "node:url"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as Eventually from "../../src/drivers/Eventually.ts"
import * as TemporaryDirectory from "../../src/drivers/TemporaryDirectory.ts"

const main = fileURLToPath(new URL("../../../light-server/dist/bundle/main.js", import.meta.url))

/** Half a megabyte of lines, more than any pipe takes. */
const requestCount = 4_000

describe("a standard output that is not read", () => {
  it.scopedLive(
    "stops neither requests nor the shutdown",
    () =>
      Effect.gen(function* () {
        const directory = path.join(yield* TemporaryDirectory.make, "data")
        const port = yield* BuiltServer.freePort
        const child = yield* Effect.acquireRelease(
          Effect.sync(() =>
            spawn(process.execPath, [main], {
              env: {
                PATH: process.env["PATH"],
                HOME: directory,
                HAPPIER_SERVER_LIGHT_DATA_DIR: directory,
                HAPPIER_LOG_LEVEL: "debug",
                PORT: String(port)
              },
              stdio: ["ignore", "pipe", "inherit"]
            })
          ),
          (child) => Effect.sync(() => child.kill("SIGKILL"))
        )
        child.stdout.pause()
        const url = `http://127.0.0.1:${port}/version`
        const ask = Effect.map(Device.request(url), ({ status }) => status)
        yield* Eventually.until(
          Effect.orElseSucceed(ask, () => 0),
          (status) => status === 200,
          "30 seconds"
        )
        const statuses = yield* Effect.all(
          Array.from({ length: requestCount }, () => ask),
          { concurrency: 16 }
        )
        assert.deepStrictEqual([...new Set(statuses)], [200])
        const ended = Effect.async<number | null>((resume) => {
          child.once("exit", (code) => resume(Effect.succeed(code)))
          child.kill("SIGTERM")
        })
        assert.strictEqual(yield* ended, 0)
      }),
    90_000
  )
})
