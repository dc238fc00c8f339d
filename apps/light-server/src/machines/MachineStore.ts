/** Machines in the database. */
import { Context, Effect, Layer, type Option } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { SqliteWriter } from "presence-effect/writer/SqliteWriter"
import * as Write from "presence-effect/writer/Write"
import type { WriterError } from "presence-effect/writer/WriterError"
import { DatabaseReader, type ReadFailed } from "../database/DatabaseReader.ts"
import * as TimeForm from "../database/TimeForm.ts"
import * as AccountCursor from "../entities/AccountCursor.ts"
import type { TextChange } from "../entities/CompareAndSet.ts"
import { Machine } from "./Machine.ts"

/** The two texts of a machine that change under compare-and-set. */
export type MachineText = "metadata" | "daemonState"

/** The metadata is never `null`. */
export interface Replacement extends TextChange<MachineText> {
  readonly accountId: string
  readonly id: string
  readonly value: string
}

/**
 * A write returns the cursor of the account that numbers it. It fails with
 * `WriteConflict` of statement 0 when the account does not exist, and of
 * statement 1 when the row is not as expected.
 */
export class MachineStore extends Context.Tag("light-server/MachineStore")<
  MachineStore,
  {
    /** From whichever account: ids of machines are global. */
    readonly find: (id: string) => Effect.Effect<Option.Option<Machine>, ReadFailed>
    /** Conflicts when the id is taken, by any account. */
    readonly insert: (machine: Machine) => Effect.Effect<number, WriterError>
    /** Conflicts when the machine is missing, foreign, revoked, or at another version. */
    readonly replace: (replacement: Replacement) => Effect.Effect<number, WriterError>
  }
>() {}

const columns = `"id", "accountId", "metadata", "metadataVersion", "daemonState", "daemonStateVersion",
  "dataEncryptionKey", "seq", "active", "lastActiveAt", "createdAt", "updatedAt"`

/** Another server of the file revokes machines, this one never does: the time is not read. */
const readColumns = `${columns}, "revokedAt" IS NOT NULL AS "isRevoked"`

const selectById = `SELECT ${readColumns} FROM "Machine" WHERE "id" = ?`

const insertNew = `INSERT INTO "Machine" (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT ("id") DO NOTHING`

const replaceText: { readonly [text in MachineText]: string } = {
  metadata: `UPDATE "Machine" SET "metadata" = ?, "metadataVersion" = "metadataVersion" + 1, "updatedAt" = ?
    WHERE "id" = ? AND "accountId" = ? AND "revokedAt" IS NULL AND "metadataVersion" = ?`,
  daemonState: `UPDATE "Machine" SET "daemonState" = ?, "daemonStateVersion" = "daemonStateVersion" + 1, "updatedAt" = ?
    WHERE "id" = ? AND "accountId" = ? AND "revokedAt" IS NULL AND "daemonStateVersion" = ?`
}

/** The write of a new machine. */
export const insertWrite = (machine: Machine, { encode }: TimeForm.Form = TimeForm.integer): Write.Write<number> =>
  Write.statement(
    insertNew,
    [
      machine.id,
      machine.accountId,
      machine.metadata,
      machine.metadataVersion,
      machine.daemonState,
      machine.daemonStateVersion,
      machine.dataEncryptionKey,
      machine.seq,
      machine.active ? 1 : 0,
      encode(machine.lastActiveAt),
      encode(machine.createdAt),
      encode(machine.updatedAt)
    ],
    { changes: 1 }
  ).pipe(
    AccountCursor.numbered({
      accountId: machine.accountId,
      change: { kind: "machine", id: machine.id },
      changedAt: encode(machine.createdAt)
    }),
    Write.map(([cursor]) => cursor)
  )

/** The write of a compare-and-set. */
export const replaceWrite = (
  { accountId, id, text, value, expectedVersion }: Replacement,
  nowMillis: number,
  { encode }: TimeForm.Form = TimeForm.integer
): Write.Write<number> =>
  Write.statement(replaceText[text], [value, encode(nowMillis), id, accountId, expectedVersion], { changes: 1 }).pipe(
    AccountCursor.numbered({ accountId, change: { kind: "machine", id }, changedAt: encode(nowMillis) }),
    Write.map(([cursor]) => cursor)
  )

export const make: Effect.Effect<MachineStore["Type"], never, DatabaseReader | SqliteWriter> = Effect.gen(function* () {
  const reader = yield* DatabaseReader
  const writer = yield* SqliteWriter
  const form = yield* TimeForm.TimeForm
  return MachineStore.of({
    find: (id) => reader.first(Machine, selectById, [id]),
    insert: (machine) => writer.write(Lane.control, insertWrite(machine, form)),
    replace: (replacement) => Effect.suspend(() => writer.write(Lane.data, replaceWrite(replacement, Date.now(), form)))
  })
})

export const layer: Layer.Layer<MachineStore, never, DatabaseReader | SqliteWriter> = Layer.effect(MachineStore, make)
