import { assert, describe, it } from "@effect/vitest"
import { Either } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import * as WriterPolicy from "presence-effect/writer/WriterPolicy"
import { type Facts, judge } from "../../src/health/ReadinessCheck.ts"
import { codes, table } from "../Document.ts"

const now = 1_000_000

const healthy: Facts = {
  nowMillis: now,
  writer: {
    state: "open",
    holder: undefined,
    lanes: [{ lane: Lane.control, waiterCount: 0, capacity: 10, oldestWaitMillis: 0 }],
    lastCommitMillis: now - 5000,
    lastFailure: undefined
  },
  policy: Either.getOrThrow(WriterPolicy.resolve(WriterPolicy.defaults)),
  presence: {
    trackedCount: 1,
    capacity: 2,
    pendingCount: 0,
    oldestPendingMillis: undefined,
    lastFlushMillis: now,
    consecutiveFlushFailures: 0,
    parkedCount: 0
  },
  flushIntervalMillis: 5000,
  movedPath: undefined,
  stopped: undefined,
  problem: undefined,
  diskFreeBytes: 1e9,
  diskReserveBytes: 1e8,
  reusableBytes: 0,
  isDraining: false
}

const failing = (change: Partial<Facts>) =>
  judge({ ...healthy, ...change })
    .filter(({ ok }) => !ok)
    .map(({ code, name }) => `${name} ${code}`)

const writer = (change: Partial<Facts["writer"]>) => failing({ writer: { ...healthy.writer, ...change } })

describe("ReadinessCheck", () => {
  it("finds nothing wrong with a server that works, or has just started", () => {
    assert.deepStrictEqual(failing({}), [])
    assert.deepStrictEqual(writer({ lastCommitMillis: undefined }), [])
    assert.deepStrictEqual(failing({ diskFreeBytes: undefined }), [])
  })

  it("lets a lane hold the writer for as long as its policy allows", () => {
    const held = (lane: Lane.Lane, millis: number) => writer({ holder: { lane, sinceMillis: now - millis } })
    assert.deepStrictEqual(held(Lane.control, 500), [])
    assert.deepStrictEqual(held(Lane.control, 501), ["writer WriterStuck"])
    assert.deepStrictEqual(held(Lane.maintenance, 10_000), [])
    assert.deepStrictEqual(held(Lane.maintenance, 10_001), ["writer WriterStuck"])
  })

  it("requires a commit within three flush intervals, and 15 s at least", () => {
    assert.deepStrictEqual(writer({ lastCommitMillis: now - 15_000 }), [])
    assert.deepStrictEqual(writer({ lastCommitMillis: now - 15_001 }), ["commit CommitAge"])
    assert.deepStrictEqual(failing({ flushIntervalMillis: 60_000 }), [])
  })

  it("names the failure after which nothing was committed", () => {
    assert.deepStrictEqual(writer({ lastFailure: { tag: "DatabaseFull", atMillis: now - 10 } }), [
      "commit DatabaseFull"
    ])
  })

  it("detects a first lane that is nearly full", () => {
    const waiting = (waiterCount: number) =>
      writer({ lanes: [{ lane: Lane.control, waiterCount, capacity: 10, oldestWaitMillis: 0 }] })
    assert.deepStrictEqual(waiting(7), [])
    assert.deepStrictEqual(waiting(8), ["control-lane LaneOverflow"])
  })

  it("ignores one failed flush", () => {
    const failed = (consecutiveFlushFailures: number) =>
      failing({ presence: { ...healthy.presence, consecutiveFlushFailures } })
    assert.deepStrictEqual(failed(1), [])
    assert.deepStrictEqual(failed(2), ["flush FlushFailing"])
  })

  it("names the file that was replaced or deleted, and why the writer has stopped", () => {
    const detail = (change: Partial<Facts>) =>
      judge({ ...healthy, ...change })
        .filter(({ ok }) => !ok)
        .map(({ code, detail }) => [code, detail])
    assert.deepStrictEqual(detail({ movedPath: "/data/db-wal" }), [
      ["DatabaseMoved", "/data/db-wal was deleted or replaced; the server ends"]
    ])
    const stopped = (code: string) => detail({ stopped: { code, detail: "said the engine" } })
    assert.deepStrictEqual(stopped("GONE"), [["ConnectionGone", "said the engine; the server ends"]])
    const damage = [["DatabaseCorrupt", "said the engine; nothing is written any more, restore a backup"]]
    assert.deepStrictEqual(stopped("SQLITE_CORRUPT_INDEX"), damage)
    assert.deepStrictEqual(stopped("SQLITE_NOTADB"), damage)
  })

  it("keeps the reserve", () => {
    assert.deepStrictEqual(failing({ diskFreeBytes: 1e8 }), [])
    assert.deepStrictEqual(failing({ diskFreeBytes: 1e8 - 1 }), ["disk DiskFull"])
    assert.deepStrictEqual(failing({ diskFreeBytes: 6e7, reusableBytes: 4e7 }), [], "free pages are room")
    assert.deepStrictEqual(failing({ diskFreeBytes: 5e7 - 1, reusableBytes: 1e9 }), ["disk DiskFull"])
  })

  it("is no longer ready once the server drains, and reports whether the writer is closed", () => {
    assert.deepStrictEqual(failing({ isDraining: true }), ["draining Draining"])
    assert.deepStrictEqual(writer({ state: "draining" }), ["writer WriterClosed"])
  })

  it("stays ready while other replicas cannot be reached, and says why", () => {
    assert.notInclude(
      judge(healthy).map(({ name }) => name),
      "replicas"
    )
    const checks = judge({ ...healthy, replicas: { problem: "Redis at r:1: gone" } })
    assert.deepStrictEqual(checks.at(-1), {
      name: "replicas",
      ok: true,
      code: "ReplicasUnreachable",
      detail: "Redis at r:1: gone"
    })
  })

  it("is documented line by line", () => {
    assert.deepStrictEqual(
      table("operations.md", "Check").map(([name]) => codes(name)[0]),
      judge({ ...healthy, replicas: { problem: undefined } }).map(({ name }) => name)
    )
  })
})
