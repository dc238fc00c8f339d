/**
 * Goal: every example does what it says, and the README shows code that runs.
 * Method: run each example and assert its outcome; look up every TypeScript
 * block of the README in the examples.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as customLane from "../examples/custom-lane.ts"
import * as minimalServer from "../examples/minimal-server.ts"
import * as ownKinds from "../examples/own-kinds.ts"
import * as prismaHost from "../examples/prisma-host.ts"
import * as promiseHost from "../examples/promise-host.ts"
import * as testContention from "../examples/test-contention.ts"
import { readRows, temporaryDirectory } from "./support/temporaryFile.ts"

const freshFile = Effect.map(temporaryDirectory, (directory) => path.join(directory, "light.sqlite"))

describe("examples", () => {
  it.scopedLive("minimal-server registers a machine and writes its heartbeat before it ends", () =>
    Effect.gen(function* () {
      const filename = yield* freshFile
      const before = Date.now()
      const status = yield* Effect.promise(() => minimalServer.run(filename))
      assert.deepInclude(status, { trackedCount: 1, pendingCount: 1, consecutiveFlushFailures: 0 })
      // Before the file is read: a reader makes a log file of its own.
      assert.isFalse(fs.existsSync(`${filename}-wal`), "the log is emptied and gone")
      const [row, ...others] = readRows(filename, "SELECT id, accountId, active, lastActiveAt FROM Machine")
      assert.deepInclude(row, { id: "machine-1", accountId: "account-1", active: 1 })
      assert.isAtLeast(Number(row?.["lastActiveAt"]), before)
      assert.deepStrictEqual(others, [])
    })
  )

  it.effect("custom-lane serves its lane where the policy puts it", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* customLane.servingOrder(customLane.policy), [
        "control",
        "data",
        "replication",
        "presence",
        "maintenance"
      ])
      assert.deepStrictEqual(yield* customLane.servingOrder(customLane.standby), [
        "replication",
        "control",
        "data",
        "presence",
        "maintenance"
      ])
      assert.deepInclude(
        customLane.policy.lanes.find(({ lane }) => lane === "data"),
        { capacity: 2_048 }
      )
    })
  )

  it("test-contention lets a registration wait for one statement, not for nine", async () => {
    // 79 ms of the flush are left, and its own statement takes 80.
    assert.deepStrictEqual(await testContention.run(), { waitedMillis: 159, calls: 2 })
  })

  it.scopedLive("promise-host answers 201, then 409, and writes the heartbeat before it ends", () =>
    Effect.gen(function* () {
      const filename = yield* freshFile
      assert.deepStrictEqual(yield* Effect.promise(() => promiseHost.run(filename)), [201, 409, 1])
      assert.deepStrictEqual(readRows(filename, "SELECT id, active FROM Machine"), [{ id: "machine-1", active: 1 }])
    })
  )

  it.scopedLive("prisma-host runs the transactions of its client one after the other, and none meets a lock", () =>
    Effect.gen(function* () {
      const filename = yield* freshFile
      assert.deepStrictEqual(yield* Effect.promise(() => prismaHost.run(filename)), { machines: 1, sessions: 9 })
      assert.deepStrictEqual(readRows(filename, "SELECT count(*) AS alive FROM Session WHERE active = 1"), [
        { alive: 9 }
      ])
    })
  )

  it.scopedLive("own-kinds writes two laptops with one id, and a sensor that has no account", () =>
    Effect.gen(function* () {
      const filename = yield* freshFile
      yield* Effect.promise(() => ownKinds.run(filename))
      assert.deepStrictEqual(readRows(filename, "SELECT userId, active FROM laptop ORDER BY userId"), [
        { userId: "user-1", active: 1 },
        { userId: "user-2", active: 1 },
        { userId: "user-3", active: 0 }
      ])
      assert.deepStrictEqual(readRows(filename, 'SELECT serial, online FROM "user-sensors"'), [
        { serial: "A7", online: 1 }
      ])
    })
  )

  it("has no file that this test does not run", () => {
    const run = [
      "custom-lane.ts",
      "minimal-server.ts",
      "own-kinds.ts",
      "prisma-host.ts",
      "promise-host.ts",
      "test-contention.ts"
    ]
    assert.deepStrictEqual(fs.readdirSync(path.join(import.meta.dirname, "../examples")).toSorted(), run)
  })
})

describe("README", () => {
  const folder = path.join(import.meta.dirname, "..")
  const isCode = (line: string) => line !== "" && !/^(\/\/ #(region|endregion)|import .* from "\.\/)/.test(line)
  /** The code as it reads, whatever its indentation. Left out: marks of regions, what examples import of each other. */
  const flat = (text: string) =>
    text
      .split("\n")
      .map((line) => line.trim())
      .filter(isCode)
      .join("\n")
  const readme = fs.readFileSync(path.join(folder, "README.md"), "utf8")
  const blocks = [...readme.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code = ""]) => flat(code))
  const examples = fs
    .readdirSync(path.join(folder, "examples"))
    .map((file) => flat(fs.readFileSync(path.join(folder, "examples", file), "utf8")))

  it("shows code of every example", () => {
    const shown = examples.filter((example) => blocks.some((block) => example.includes(block)))
    assert.lengthOf(shown, examples.length)
  })

  it("shows no code that is not in an example", () => {
    const foreign = blocks.filter((block) => !examples.some((example) => example.includes(block)))
    assert.deepStrictEqual(foreign, [])
  })
})
