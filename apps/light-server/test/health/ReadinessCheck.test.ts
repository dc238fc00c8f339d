import { assert, describe, it } from "@effect/vitest"
import { Either } from "effect"
import * as Lane from "presence-effect/Lane"
import * as WriterPolicy from "presence-effect/WriterPolicy"
import { type Facts, judge } from "../../src/health/ReadinessCheck.ts"
import { codes, table } from "../Document.ts"

const now = 1_000_000

const healthy: Facts = {
  nowMillis: now,
  writer: {
    state: "open",
    holder: undefined,
    lanes: [{ lane: Lane.control, waiterCount: 0, capacity: 10 }],
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
    consecutiveFlushFailures: 0
  },
  flushIntervalMillis: 5000,
  identity: { first: "1:2", now: "1:2" },
  diskFreeBytes: 1e9,
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
    assert.deepStrictEqual(failing({ diskFreeBytes: undefined, identity: { first: undefined, now: undefined } }), [])
  })

  it("lets a lane hold the writer for as long as its policy says", () => {
    const held = (lane: Lane.Lane, millis: number) => writer({ holder: { lane, sinceMillis: now - millis } })
    assert.deepStrictEqual(held(Lane.control, 500), [])
    assert.deepStrictEqual(held(Lane.control, 501), ["writer WriterStuck"])
    assert.deepStrictEqual(held(Lane.maintenance, 10_000), [])
    assert.deepStrictEqual(held(Lane.maintenance, 10_001), ["writer WriterStuck"])
  })

  it("asks for a commit within three flush intervals, and 15 s at least", () => {
    assert.deepStrictEqual(writer({ lastCommitMillis: now - 15_000 }), [])
    assert.deepStrictEqual(writer({ lastCommitMillis: now - 15_001 }), ["commit CommitAge"])
    assert.deepStrictEqual(failing({ flushIntervalMillis: 60_000 }), [])
  })

  it("names the failure after which nothing was committed", () => {
    assert.deepStrictEqual(writer({ lastFailure: { tag: "DatabaseFull", atMillis: now - 10 } }), [
      "commit DatabaseFull"
    ])
  })

  it("sees a first lane that is nearly full", () => {
    const waiting = (waiterCount: number) => writer({ lanes: [{ lane: Lane.control, waiterCount, capacity: 10 }] })
    assert.deepStrictEqual(waiting(7), [])
    assert.deepStrictEqual(waiting(8), ["control-lane LaneOverflow"])
  })

  it("forgives one flush that failed", () => {
    const failed = (consecutiveFlushFailures: number) =>
      failing({ presence: { ...healthy.presence, consecutiveFlushFailures } })
    assert.deepStrictEqual(failed(1), [])
    assert.deepStrictEqual(failed(2), ["flush FlushFailing"])
  })

  it("sees a file that was replaced or deleted", () => {
    assert.deepStrictEqual(failing({ identity: { first: "1:2", now: "1:3" } }), ["file DatabaseMoved"])
    assert.deepStrictEqual(failing({ identity: { first: "1:2", now: undefined } }), ["file DatabaseMoved"])
  })

  it("keeps room for the log", () => {
    assert.deepStrictEqual(failing({ diskFreeBytes: 32 * 1024 * 1024 }), [])
    assert.deepStrictEqual(failing({ diskFreeBytes: 32 * 1024 * 1024 - 1 }), ["disk DiskFull"])
  })

  it("is no longer ready once the server drains, and says whether the writer is closed", () => {
    assert.deepStrictEqual(failing({ isDraining: true }), ["draining Draining"])
    assert.deepStrictEqual(writer({ state: "draining" }), ["writer WriterClosed"])
  })

  it("is documented line by line", () => {
    assert.deepStrictEqual(
      table("operations.md", "Check").map(([name]) => codes(name)[0]),
      judge(healthy).map(({ name }) => name)
    )
  })
})
