/**
 * Goal: the contract finds a storage that breaks it.
 * Method: run the suite over storages in memory that are wrong in one respect each, and look at which cases fail. That
 * right storages pass is what the tests of `PresenceStorage` and `SqlitePresenceStorage` are.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as PresenceStorage from "../../src/presence/PresenceStorage.ts"
import * as PresenceStorageContract from "../../src/testing/PresenceStorageContract.ts"

type Storage = PresenceStorage.PresenceStorage["Type"]

const failing = async (harm: (storage: Storage) => Partial<Storage>) => {
  const cases: Array<readonly [title: string, body: () => Promise<void>]> = []
  const runner: PresenceStorageContract.TestRunner = {
    describe: (_, body) => body(),
    it: (title, body) => cases.push([title, body])
  }
  const makeWorld = Effect.sync((): PresenceStorageContract.World => {
    const rows = PresenceStorage.memoryRows(PresenceStorageContract.kinds)
    const storage = PresenceStorage.makeMemory(rows)
    return {
      storage: { ...storage, ...harm(storage) },
      insert: (kind, id, accountId, row) =>
        rows.set(kind, kind === "sensor" ? { id, ...row } : { id, accountId, ...row }),
      read: (kind, id, accountId = "a") => {
        const row = Array.from(rows.rowsOf(kind)).find(
          (row) => row.id === id && (kind !== "laptop" || row.accountId === accountId)
        )
        return row === undefined ? undefined : { active: row.active, lastActiveMillis: row.lastActiveMillis }
      },
      chunkRows: 250
    }
  })
  PresenceStorageContract.suite(runner, "broken", makeWorld)
  assert.isAtLeast(cases.length, 14)
  const failed: Array<string> = []
  for (const [title, body] of cases) await body().catch(() => failed.push(title))
  return failed
}

describe("PresenceStorageContract", () => {
  it("accepts a right storage", async () => {
    assert.deepStrictEqual(await failing(() => ({})), [])
  })

  it("finds a storage that reports every row as written", async () => {
    const failed = await failing(({ flush }) => ({
      flush: (batch, lane) =>
        Effect.map(flush(batch, lane), (report) => ({ ...report, written: batch.entries, missing: [], superseded: [] }))
    }))
    assert.include(failed, "keeps an end: a sign of life that is not newer does not activate")
    assert.include(failed, "reports missing rows, and leaves rows of another account untouched")
  })

  it("finds a storage that answers one page of stale rows only", async () => {
    const failed = await failing(({ findStale }) => ({
      findStale: (kind, believable, limit, after) =>
        Effect.map(findStale(kind, believable, limit, after), (page) => ({ ...page, next: undefined }))
    }))
    assert.include(failed, "pages through active rows that were last seen before the cutoff")
  })

  it("finds a storage that marks nothing offline", async () => {
    const failed = await failing(() => ({ markOffline: () => Effect.succeed([]) }))
    assert.include(failed, "marks offline what is still active and still silent, and answers exactly that")
  })
})
