import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as path from "node:path"
import * as SqliteInProcess from "../../src/node/SqliteInProcess.ts"
import * as ForeignLock from "../../src/testing/ForeignLock.ts"
import { readRows, temporaryDatabase, temporaryDirectory } from "../support/temporaryFile.ts"

describe("ForeignLock", () => {
  it.scopedLive("keeps every write out with SQLITE_BUSY until its scope closes, and writes nothing itself", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase("CREATE TABLE T (id INTEGER PRIMARY KEY)")
      const connection = yield* SqliteInProcess.make({ filename })
      const insert = connection.run([[{ sql: "INSERT INTO T VALUES (1)", params: [], changes: 1 }]], "power-loss")
      const scope = yield* Scope.make()
      yield* Scope.extend(ForeignLock.hold(filename), scope)
      assert.deepInclude(yield* Effect.flip(insert), { code: "SQLITE_BUSY", phase: "begin" })
      assert.deepInclude(yield* Effect.flip(insert), { code: "SQLITE_BUSY", phase: "begin" })
      assert.deepStrictEqual(readRows(filename, "SELECT id FROM T"), [])
      yield* Scope.close(scope, Exit.void)
      const [answer] = yield* insert
      assert.strictEqual(answer?._tag, "Done")
      assert.deepStrictEqual(readRows(filename, "SELECT id FROM T"), [{ id: 1 }])
    })
  )

  it.scopedLive("fails with the reason of the other process when there is nothing to lock", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const error = yield* Effect.flip(ForeignLock.hold(path.join(directory, "no", "such", "file.sqlite")))
      assert.strictEqual(error._tag, "ForeignLockFailed")
      assert.include(error.detail, "directory does not exist")
    })
  )
})
