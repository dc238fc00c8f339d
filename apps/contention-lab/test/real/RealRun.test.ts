/**
 * Goal: every strategy writes what the report says it wrote.
 * Method: a second of each on a real file, then the rows of that file.
 */
import { assert, describe, it } from "@effect/vitest"
import Database from "better-sqlite3"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as RealRun from "../../src/RealRun.ts"
import type { Scenario } from "../../src/Scenario.ts"
import { entryOf, strategyNames } from "../../src/strategies/Catalogue.ts"

const scenario: Omit<Scenario, "strategy"> = {
  sessionCount: 12,
  database: "sqlite",
  connections: 1,
  seconds: 2,
  seed: 3,
  disk: "real",
  hasForeignLock: false,
  roundTripMillis: 1,
  flushIntervalMillis: 250,
  rows: "together"
}

const temporaryFile = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "contention-lab-test-"))),
    (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
  ),
  (folder) => path.join(folder, "lab.sqlite")
)

const count = (filename: string, sql: string): number => {
  const database = new Database(filename, { readonly: true })
  try {
    return Number(database.prepare(sql).pluck().get())
  } finally {
    database.close()
  }
}

describe("RealRun", () => {
  it.scopedLive.each(strategyNames)(
    "%s writes what it says",
    (strategy) =>
      Effect.gen(function* () {
        const filename = yield* temporaryFile
        const beganAt = Date.now()
        const figures = yield* Effect.scoped(Effect.flatten(RealRun.prepare({ ...scenario, strategy }, filename)))
        assert.isAbove(figures.registration.count, 0)
        assert.strictEqual(figures.evidence.acknowledgedMissingCount, 0)
        const registered = count(filename, `SELECT count(*) FROM "Machine" WHERE "id" LIKE 'new-%'`)
        const answered = figures.registrations.filter(({ isAnswered }) => isAnswered).length
        assert.isAtLeast(registered, answered)
        assert.strictEqual(figures.evidence.messageCount, count(filename, `SELECT count(*) FROM "SessionMessage"`))
        assert.isAbove(figures.evidence.messageCount, 0)
        // All rows that beat, machines too, with a time from the run.
        assert.isAbove(figures.flush.writtenCount, 0)
        const current = `"active" = 1 AND "lastActiveAt" > ${beganAt}`
        assert.strictEqual(count(filename, `SELECT count(*) FROM "Session" WHERE ${current}`), 12)
        assert.strictEqual(
          count(filename, `SELECT count(*) FROM "Machine" WHERE "id" NOT LIKE 'new-%' AND ${current}`),
          3
        )
        // The feed numbers every change, without a gap.
        const cursor = count(filename, `SELECT "seq" FROM "Account"`)
        const changes = registered + count(filename, `SELECT sum("seq") FROM "Session"`)
        assert.strictEqual(cursor, changes)
        assert.isAbove(figures.heldShare, 0)
        const crosses = entryOf(strategy).place === "behind round trips" && !strategy.startsWith("presence")
        assert.strictEqual(figures.crossingMeanMillis !== undefined, crosses)
      }),
    60_000
  )

  it.scopedLive(
    "survives a slow disk and a lock in other hands",
    () =>
      Effect.gen(function* () {
        const filename = yield* temporaryFile
        const hard = { ...scenario, seconds: 4, disk: "slow", hasForeignLock: true } as const
        const figures = yield* Effect.scoped(
          Effect.flatten(RealRun.prepare({ ...hard, strategy: "presence-effect" }, filename))
        )
        assert.strictEqual(figures.evidence.acknowledgedMissingCount, 0)
        assert.strictEqual(figures.registration.missedCount, 0)
        // What is slow in every commit is slow in the median too.
        assert.isAtLeast(figures.registration.p50Millis, 20)
      }),
    60_000
  )
})
