/** Machines in the database. */
import { Context, Effect, Layer, type Option } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import type { Writer } from "presence-effect/writer/Writer"
import * as Write from "presence-effect/writer/Write"
import * as Columns from "../database/Columns.ts"
import { DatabaseReader, type ReadFailed } from "../database/DatabaseReader.ts"
import * as TimeForm from "../database/TimeForm.ts"
import * as AccountCursor from "../entities/AccountCursor.ts"
import type { TextChange } from "../entities/CompareAndSet.ts"
import { Machine } from "./Machine.ts"
import * as AccountWriter from "../quota/AccountWriter.ts"
import type { WriteFailure } from "../quota/AccountWriter.ts"

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
    /** From any account: ids of machines are global. */
    readonly find: (id: string) => Effect.Effect<Option.Option<Machine>, ReadFailed>
    /** Conflicts when the id is taken, by any account. */
    readonly insert: (machine: Machine) => Effect.Effect<number, WriteFailure>
    /** Conflicts when the machine is missing, foreign, revoked, or at another version. */
    readonly replace: (replacement: Replacement) => Effect.Effect<number, WriteFailure>
    /** Conflicts when the machine is missing, foreign or revoked already. */
    readonly revoke: (accountId: string, id: string) => Effect.Effect<number, WriteFailure | ReadFailed>
  }
>() {}

const columns = `"id", "accountId", "metadata", "metadataVersion", "daemonState", "daemonStateVersion",
  "dataEncryptionKey", "seq", "active", "lastActiveAt", "createdAt", "updatedAt"`

/** The time at which a machine of the statement was revoked, if it was. */
const revokedAt = `(SELECT "revokedAt" FROM "PresenceMachineRevocation" WHERE "machineId" = "Machine"."id")`

const readColumns = `${columns}, ${revokedAt} AS "revokedAt"`

const selectById = `SELECT ${readColumns} FROM "Machine" WHERE "id" = ?`

const insertNew = `INSERT INTO "Machine" (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT ("id") DO NOTHING`

const replaceText: { readonly [text in MachineText]: string } = {
  metadata: `UPDATE "Machine" SET "metadata" = ?, "metadataVersion" = "metadataVersion" + 1, "updatedAt" = ?
    WHERE "id" = ? AND "accountId" = ? AND ${revokedAt} IS NULL AND "metadataVersion" = ?`,
  daemonState: `UPDATE "Machine" SET "daemonState" = ?, "daemonStateVersion" = "daemonStateVersion" + 1, "updatedAt" = ?
    WHERE "id" = ? AND "accountId" = ? AND ${revokedAt} IS NULL AND "daemonStateVersion" = ?`
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

const removeAccessKeys = `DELETE FROM "AccessKey" WHERE "machineId" = ? AND "accountId" = ?`

const endPresence = `UPDATE "Machine" SET "active" = FALSE, "updatedAt" = ? WHERE "id" = ? AND "accountId" = ?`

const insertRevocation = `INSERT INTO "PresenceMachineRevocation" ("machineId", "revokedAt")
  SELECT "id", ? FROM "Machine" WHERE "id" = ? AND "accountId" = ? ON CONFLICT DO NOTHING`

/** Files of other happier light servers also store the time in the row, and those servers read it there. */
const revokeInRow = `UPDATE "Machine" SET "revokedAt" = coalesce("revokedAt", ?) WHERE "id" = ? AND "accountId" = ?`

/** The write that revokes a machine, and removes what belongs to it. */
export const revokeWrite = (
  accountId: string,
  id: string,
  nowMillis: number,
  hasColumn: boolean,
  { encode }: TimeForm.Form = TimeForm.integer
): Write.Write<number> => {
  const now = encode(nowMillis)
  return Write.statement(endPresence, [now, id, accountId], { changes: 1 }).pipe(
    Write.zip(Write.statement(removeAccessKeys, [id, accountId])),
    Write.zip(Write.statement(insertRevocation, [now, id, accountId], { changes: 1 })),
    Write.zip(Write.all(hasColumn ? [Write.statement(revokeInRow, [now, id, accountId])] : [])),
    AccountCursor.numbered({ accountId, change: { kind: "machine", id }, changedAt: now }),
    Write.map(([cursor]) => cursor),
    Write.withReserve
  )
}

export const make: Effect.Effect<MachineStore["Type"], never, DatabaseReader | Writer> = Effect.gen(function* () {
  const reader = yield* DatabaseReader
  const writer = yield* AccountWriter.make
  const form = yield* TimeForm.TimeForm
  // Read each time: a remembered answer could be a failure, and revocations are rare.
  const hasColumn = Effect.provideService(Columns.has("Machine", "revokedAt"), DatabaseReader, reader)
  return MachineStore.of({
    find: (id) => reader.first(Machine, selectById, [id]),
    insert: (machine) => writer.write(machine.accountId, Lane.control, insertWrite(machine, form)),
    replace: (replacement) =>
      Effect.suspend(() => writer.write(replacement.accountId, Lane.data, replaceWrite(replacement, Date.now(), form))),
    revoke: (accountId, id) =>
      Effect.flatMap(hasColumn, (isShared) =>
        writer.write(accountId, Lane.control, revokeWrite(accountId, id, Date.now(), isShared, form))
      )
  })
})

export const layer: Layer.Layer<MachineStore, never, DatabaseReader | Writer> = Layer.effect(MachineStore, make)
