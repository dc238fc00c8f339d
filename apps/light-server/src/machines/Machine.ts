/** A machine: its row, and what clients see of it. */
import { Schema } from "effect"
import { EntityId } from "../database/Ids.ts"
import type * as Liveness from "../entities/Liveness.ts"
import { WellFormed } from "../SoundValue.ts"
import { StoredTime, StoredTimeOrNull } from "../database/StoredTime.ts"
import { base64OrNull, StoredBytesOrNull, StoredFlag } from "../database/StoredValue.ts"

/** Schema of a row. */
export const Machine = Schema.Struct({
  id: Schema.String,
  accountId: Schema.String,
  metadata: Schema.String,
  metadataVersion: Schema.Int,
  daemonState: Schema.NullOr(Schema.String),
  daemonStateVersion: Schema.Int,
  dataEncryptionKey: StoredBytesOrNull,
  seq: Schema.Int,
  active: StoredFlag,
  /** `null`: the machine may be used. */
  revokedAt: StoredTimeOrNull,
  lastActiveAt: StoredTime,
  createdAt: StoredTime,
  updatedAt: StoredTime
})

export type Machine = typeof Machine.Type

/** Body of a registration. Texts are encrypted by the client. */
export const Registration = Schema.Struct({
  /** Chosen by the client. */
  id: EntityId,
  metadata: WellFormed,
  daemonState: Schema.optional(Schema.NullOr(WellFormed)),
  dataEncryptionKey: Schema.optional(Schema.NullOr(Schema.Uint8ArrayFromBase64))
})

export type Registration = typeof Registration.Type

/** A new machine. It is offline until its daemon connects. */
export const make = (accountId: string, registration: Registration, nowMillis: number): Machine => ({
  id: registration.id,
  accountId,
  metadata: registration.metadata,
  metadataVersion: 1,
  daemonState: registration.daemonState ?? null,
  daemonStateVersion: typeof registration.daemonState === "string" ? 1 : 0,
  dataEncryptionKey: registration.dataEncryptionKey ?? null,
  seq: 0,
  active: false,
  revokedAt: null,
  lastActiveAt: nowMillis,
  createdAt: nowMillis,
  updatedAt: nowMillis
})

/** A machine as clients see it. */
export interface MachineView {
  readonly id: string
  readonly metadata: string
  readonly metadataVersion: number
  readonly daemonState: string | null
  readonly daemonStateVersion: number
  readonly dataEncryptionKey: string | null
  readonly active: boolean
  readonly activeAt: number
  readonly createdAt: number
  readonly updatedAt: number
}

export const view = (machine: Machine, { active, activeAt }: Liveness.Liveness): MachineView => ({
  id: machine.id,
  metadata: machine.metadata,
  metadataVersion: machine.metadataVersion,
  daemonState: machine.daemonState,
  daemonStateVersion: machine.daemonStateVersion,
  dataEncryptionKey: base64OrNull(machine.dataEncryptionKey),
  active,
  activeAt,
  createdAt: machine.createdAt,
  updatedAt: machine.updatedAt
})

/** Body of the update `new-machine`. */
export const newMachine = (machine: Machine, liveness: Liveness.Liveness) => {
  const { id: machineId, ...shown } = view(machine, liveness)
  return { t: "new-machine", machineId, seq: machine.seq, ...shown }
}
