/** The list of an account's machines as clients get it. */
import { Context, Effect, Layer, Schema } from "effect"
import { Presence } from "../entities/Presence.ts"
import * as PresenceKey from "../entities/PresenceKey.ts"
import * as BoundedList from "../database/BoundedList.ts"
import { DatabaseReader } from "../database/DatabaseReader.ts"
import type { ReadFailure } from "../database/ReadFailure.ts"
import type { Dialect } from "../database/Dialect.ts"
import * as Liveness from "../entities/Liveness.ts"

/** A list as JSON. `isCut`: more rows would exceed the size limit. */
export interface MachinesJson {
  readonly json: Uint8Array
  readonly isCut: boolean
}

export class MachineLists extends Context.Tag("light-server/MachineLists")<
  MachineLists,
  {
    /** Those that are not revoked, the last active first: at most 1000 and 8 MiB. */
    readonly list: (accountId: string) => Effect.Effect<MachinesJson, ReadFailure>
  }
>() {}

/** The statement of the list, for tests that look at its plan. */
export const sourceOf = ({ millisOf }: Dialect): BoundedList.Source => ({
  table: "Machine",
  columns: `"id", "metadata", "metadataVersion", "daemonState", "daemonStateVersion", "dataEncryptionKey", "seq",
    "active", "lastActiveAt", "createdAt", "updatedAt"`,
  weighty: ["metadata", "daemonState", "dataEncryptionKey"],
  from: `FROM "Machine" WHERE "accountId" = ?
    AND NOT EXISTS (SELECT 1 FROM "PresenceMachineRevocation" WHERE "machineId" = "Machine"."id")`,
  key: millisOf("lastActiveAt"),
  direction: "DESC",
  bytesMax: BoundedList.listBytes
})

/** In the form of a `Machine.MachineView` with its number, without the fields that come from presence. */
const shape: BoundedList.Shape = {
  fields: [
    { column: "id", kind: "text", as: "id" },
    { column: "metadata", kind: "text", as: "metadata" },
    { column: "metadataVersion", kind: "int", as: "metadataVersion" },
    { column: "daemonState", kind: "textOrNull", as: "daemonState" },
    { column: "daemonStateVersion", kind: "int", as: "daemonStateVersion" },
    { column: "dataEncryptionKey", kind: "bytesOrNull", as: "dataEncryptionKey" },
    { column: "seq", kind: "int", as: "seq" },
    { column: "createdAt", kind: "time", as: "createdAt" },
    { column: "updatedAt", kind: "time", as: "updatedAt" },
    { column: "active", kind: "flag" },
    { column: "lastActiveAt", kind: "time" }
  ],
  kept: ["id", "active", "lastActiveAt"]
}

const keptOf = Schema.decodeUnknownSync(Schema.Tuple(Schema.String, Schema.Boolean, Schema.Number))

const listLimit = 1000

export const make = Effect.gen(function* () {
  const reader = yield* DatabaseReader
  const presence = yield* Presence
  const source = sourceOf(reader.dialect)

  const livenessOf = (accountId: string, { kept }: BoundedList.Row) => {
    const [id, active, lastActiveAt] = keptOf(kept)
    return Liveness.of(presence, PresenceKey.machine(accountId, id), { active, lastActiveAt })
  }

  return MachineLists.of({
    list: (accountId) =>
      BoundedList.read(reader, source, shape, [accountId], listLimit).pipe(
        Effect.tap((list) => BoundedList.reportCut("Machine", list)),
        Effect.map(({ isCut, rows }) => {
          const seen = new Map(rows.map((row) => [row, livenessOf(accountId, row)]))
          const activeAt = (row: BoundedList.Row) => seen.get(row)?.activeAt ?? 0
          const sorted = rows.toSorted((a, b) => activeAt(b) - activeAt(a))
          const more = (row: BoundedList.Row) =>
            `,"active":${seen.get(row)?.active === true},"activeAt":${activeAt(row)}`
          return { json: BoundedList.toJson("[", sorted, "]", more), isCut }
        })
      )
  })
})

export const layer: Layer.Layer<MachineLists, never, DatabaseReader | Presence> = Layer.effect(MachineLists, make)
