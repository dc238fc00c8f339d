import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Lane from "../../src/writer/Lane.ts"
import { keyOf } from "../../src/presence/PresenceKind.ts"
import * as PresenceStorage from "../../src/presence/PresenceStorage.ts"
import { PermitTimeout } from "../../src/writer/WriterError.ts"
import * as PresenceStorageContract from "../../src/testing/PresenceStorageContract.ts"

const accountFor = (kind: PresenceStorageContract.ContractKind, accountId: string) =>
  kind === "sensor" ? undefined : accountId

PresenceStorageContract.suite(
  { describe, it },
  "memory",
  Effect.sync((): PresenceStorageContract.World => {
    const rows = PresenceStorage.memoryRows(PresenceStorageContract.kinds)
    return {
      storage: PresenceStorage.makeMemory(rows),
      insert: (kind, id, accountId, row) => rows.set(kind, { ...keyOf(kind, accountFor(kind, accountId), id), ...row }),
      read: (kind, id, accountId = "a") => {
        const row = Array.from(rows.rowsOf(kind)).find(
          (row) => row.id === id && (kind !== "laptop" || row.accountId === accountId)
        )
        return row === undefined ? undefined : { active: row.active, lastActiveMillis: row.lastActiveMillis }
      },
      chunkRows: 250
    }
  })
)

describe("FlushFailed", () => {
  it("says how far the flush came and why it stopped", () => {
    const failed = new PresenceStorage.FlushFailed({
      report: { ...PresenceStorage.emptyReport, chunkCount: 2 },
      cause: new PresenceStorage.StorageFailed({
        reason: "PermitTimeout",
        written: "nothing",
        isRetryable: true,
        cause: new PermitTimeout({ lane: Lane.presence, waitedMillis: 10_000 })
      })
    })
    assert.strictEqual(failed.message, "flush failed after 2 chunks: no permit for lane presence after 10000 ms")
  })
})
