/** Artifacts in the database. */
import { Context, Effect, Layer, type Option } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import type { Writer } from "presence-effect/writer/Writer"
import * as Write from "presence-effect/writer/Write"
import * as BoundedList from "../database/BoundedList.ts"
import { DatabaseReader, type ReadFailed } from "../database/DatabaseReader.ts"
import type { ReadFailure } from "../database/ReadFailure.ts"
import type { Dialect } from "../database/Dialect.ts"
import * as TimeForm from "../database/TimeForm.ts"
import * as AccountCursor from "../entities/AccountCursor.ts"
import { Artifact, type ArtifactChange } from "./Artifact.ts"
import * as AccountWriter from "../quota/AccountWriter.ts"
import type { WriteFailure } from "../quota/AccountWriter.ts"

/**
 * A write returns the cursor of the account that numbers it. It fails with
 * `WriteConflict` of statement 0 when the account does not exist, and of
 * statement 1 when the row is not as expected.
 */
export class ArtifactStore extends Context.Tag("light-server/ArtifactStore")<
  ArtifactStore,
  {
    /** Of any account: the id of an artifact is global. */
    readonly find: (id: string) => Effect.Effect<Option.Option<Artifact>, ReadFailed>
    /** The last changed first, bounded in rows and bytes. */
    readonly list: (accountId: string) => Effect.Effect<BoundedList.BoundedList, ReadFailure>
    /** Conflicts when the id is taken, by this account or another one. */
    readonly insert: (artifact: Artifact) => Effect.Effect<number, WriteFailure>
    /** Conflicts when the artifact is missing, foreign, or one of the parts is at another version. */
    readonly replace: (accountId: string, id: string, change: ArtifactChange) => Effect.Effect<number, WriteFailure>
    /** Conflicts when the artifact is missing or foreign. */
    readonly remove: (accountId: string, id: string) => Effect.Effect<number, WriteFailure>
  }
>() {}

const headColumns = `"id", "header", "headerVersion", "dataEncryptionKey", "seq", "createdAt", "updatedAt"`

const columns = `${headColumns}, "accountId", "body", "bodyVersion"`

const selectById = `SELECT ${columns} FROM "Artifact" WHERE "id" = ?`

const listedOf = ({ millisOf }: Dialect): BoundedList.Source => ({
  table: "Artifact",
  columns: headColumns,
  weighty: ["header", "dataEncryptionKey"],
  from: `FROM "Artifact" WHERE "accountId" = ?`,
  key: millisOf("updatedAt"),
  direction: "DESC",
  bytesMax: BoundedList.listBytes
})

/** What lists show: all but the body. */
const shape: BoundedList.Shape = {
  fields: [
    { column: "id", kind: "text", as: "id" },
    { column: "header", kind: "bytesOrNull", as: "header" },
    { column: "headerVersion", kind: "int", as: "headerVersion" },
    { column: "dataEncryptionKey", kind: "bytesOrNull", as: "dataEncryptionKey" },
    { column: "seq", kind: "int", as: "seq" },
    { column: "createdAt", kind: "time", as: "createdAt" },
    { column: "updatedAt", kind: "time", as: "updatedAt" }
  ]
}

const listLimit = 10_000

const insertNew = `INSERT INTO "Artifact" (${columns})
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT ("id") DO NOTHING`

// A part that is not sent stays as it is. Both parts change, or none.
const replaceParts = `UPDATE "Artifact" SET
    "header" = coalesce(?, "header"), "headerVersion" = "headerVersion" + ?,
    "body" = coalesce(?, "body"), "bodyVersion" = "bodyVersion" + ?,
    "seq" = "seq" + 1, "updatedAt" = ?
  WHERE "id" = ? AND "accountId" = ?
    AND "headerVersion" = coalesce(?, "headerVersion") AND "bodyVersion" = coalesce(?, "bodyVersion")`

const removeOne = `DELETE FROM "Artifact" WHERE "id" = ? AND "accountId" = ?`

export const make: Effect.Effect<ArtifactStore["Type"], never, DatabaseReader | Writer> = Effect.gen(function* () {
  const reader = yield* DatabaseReader
  const writer = yield* AccountWriter.make
  const { encode } = yield* TimeForm.TimeForm
  const listed = listedOf(reader.dialect)

  const numbered = (accountId: string, id: string, nowMillis: number, write: Write.Write<unknown>) =>
    write.pipe(
      AccountCursor.numbered({ accountId, change: { kind: "artifact", id }, changedAt: encode(nowMillis) }),
      Write.map(([cursor]) => cursor)
    )

  return ArtifactStore.of({
    find: (id) => reader.first(Artifact, selectById, [id]),
    list: (accountId) => BoundedList.read(reader, listed, shape, [accountId], listLimit),
    insert: (artifact) => {
      const { id, accountId, header, headerVersion, body, bodyVersion, dataEncryptionKey, seq } = artifact
      const times = [encode(artifact.createdAt), encode(artifact.updatedAt)]
      const params = [id, header, headerVersion, dataEncryptionKey, seq, ...times, accountId, body, bodyVersion]
      const insert = Write.statement(insertNew, params, { changes: 1 })
      return writer.write(accountId, Lane.data, numbered(accountId, id, artifact.createdAt, insert))
    },
    replace: (accountId, id, { body, header }) =>
      Effect.suspend(() => {
        const now = Date.now()
        const parts = [header, body].flatMap((part) => [part?.data ?? null, part === undefined ? 0 : 1])
        const versions = [header, body].map((part) => part?.expectedVersion ?? null)
        const params = [...parts, encode(now), id, accountId, ...versions]
        const replace = Write.statement(replaceParts, params, { changes: 1 })
        return writer.write(accountId, Lane.data, numbered(accountId, id, now, replace))
      }),
    remove: (accountId, id) =>
      Effect.suspend(() => {
        const remove = Write.statement(removeOne, [id, accountId], { changes: 1 })
        return writer.write(accountId, Lane.data, Write.withReserve(numbered(accountId, id, Date.now(), remove)))
      })
  })
})

export const layer: Layer.Layer<ArtifactStore, never, DatabaseReader | Writer> = Layer.effect(ArtifactStore, make)
