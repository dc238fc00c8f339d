/** A storage whose writer has a file, for its contract. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as SqliteInProcess from "../../src/node/SqliteInProcess.ts"
import * as SqliteReader from "../../src/node/SqliteReader.ts"
import { PresenceStorage } from "../../src/presence/PresenceStorage.ts"
import * as SqlitePresenceStorage from "../../src/sqlite/SqlitePresenceStorage.ts"
import * as PresenceStorageContract from "../../src/testing/PresenceStorageContract.ts"
import * as SqliteWriter from "../../src/writer/SqliteWriter.ts"
import * as WriterPolicy from "../../src/writer/WriterPolicy.ts"
import * as Sqlite from "./sqliteStorage.ts"
import { temporaryDatabase } from "./temporaryFile.ts"

export const tableOf = (kind: PresenceStorageContract.ContractKind) => PresenceStorageContract.kinds[kind].table

export const stored = (
  engine: Sqlite.Engine,
  kind: PresenceStorageContract.ContractKind,
  id: string,
  accountId = "a"
) =>
  engine
    .prepare(
      `SELECT active, lastActiveAt, updatedAt FROM "${tableOf(kind)}"
       WHERE id = ? AND ${kind === "laptop" ? "accountId" : "'a'"} = ?`
    )
    .get(id, kind === "laptop" ? accountId : "a") as
    | { readonly active: number; readonly lastActiveAt: number | string; readonly updatedAt: number }
    | undefined

/** The real writer on a file, with the engine of `layerEngine`. */
export const makeFileWorld = (layerEngine: typeof SqliteInProcess.layer) =>
  Effect.gen(function* () {
    const filename = yield* temporaryDatabase("")
    const engine = yield* Effect.acquireRelease(
      Effect.sync(() => Sqlite.open(filename)),
      (open) => Effect.sync(() => open.close())
    )
    const layer = SqlitePresenceStorage.layer({ kinds: PresenceStorageContract.kinds, chunkRows: 60 }).pipe(
      Layer.provide(SqliteReader.layer({ filename })),
      Layer.provide(SqliteWriter.layer(WriterPolicy.defaults)),
      Layer.provide(layerEngine({ filename }))
    )
    const context = yield* Layer.build(layer)
    return {
      storage: Context.get(context, PresenceStorage),
      insert: (kind, id, accountId, row) =>
        Sqlite.insert(engine, tableOf(kind), { id, accountId, active: row.active, at: row.lastActiveMillis }),
      read: (kind, id, accountId) => {
        const row = stored(engine, kind, id, accountId)
        return row === undefined ? undefined : { active: row.active === 1, lastActiveMillis: Number(row.lastActiveAt) }
      },
      chunkRows: 60
    } satisfies PresenceStorageContract.World
  })
