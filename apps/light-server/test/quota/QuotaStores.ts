/** All stores that write for an account, and one of each thing they store. */
import { Effect, Layer } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { Writer } from "presence-effect/writer/Writer"
import * as Write from "presence-effect/writer/Write"
import * as AccessKeyStore from "../../src/accesskeys/AccessKeyStore.ts"
import * as SettingsStore from "../../src/accounts/SettingsStore.ts"
import * as ArtifactStore from "../../src/artifacts/ArtifactStore.ts"
import * as VendorTokenStore from "../../src/connect/VendorTokenStore.ts"
import { cuid } from "../../src/database/Ids.ts"
import { DatabaseReader } from "../../src/database/DatabaseReader.ts"
import * as KeyValueStore from "../../src/kv/KeyValueStore.ts"
import * as MachineStore from "../../src/machines/MachineStore.ts"
import * as Message from "../../src/messages/Message.ts"
import * as MessageStore from "../../src/messages/MessageStore.ts"
import * as PushTokenStore from "../../src/push/PushTokenStore.ts"
import * as Recount from "../../src/quota/Recount.ts"
import * as SessionStore from "../../src/sessions/SessionStore.ts"
import * as UsageStore from "../../src/usage/UsageStore.ts"
import { QuotaWorld } from "./QuotaWorld.ts"

export const stores = Layer.mergeAll(
  AccessKeyStore.layer,
  SettingsStore.layer,
  ArtifactStore.layer,
  VendorTokenStore.layer,
  KeyValueStore.layer,
  MachineStore.layer,
  MessageStore.layer,
  PushTokenStore.layer,
  SessionStore.layer,
  UsageStore.layer
)

/** Opens an account as a login does: over the connection that writes. */
export const openAccount = (id: string) =>
  Effect.flatMap(Writer, (writer) =>
    writer.write(
      Lane.control,
      Write.statement(`INSERT INTO "Account" ("id", "publicKey", "createdAt", "updatedAt") VALUES (?, ?, 1, 1)`, [
        id,
        id.padEnd(64, "0")
      ])
    )
  )

const text = (bytes: number) => "x".repeat(bytes)

const data = (bytes: number) => new Uint8Array(bytes)

const times = { lastActiveAt: 5, createdAt: 5, updatedAt: 5, active: true, seq: 0 }

export const session = (accountId: string, id: string, bytes: number) =>
  Effect.flatMap(SessionStore.SessionStore, (store) =>
    store.insert({
      ...times,
      id,
      accountId,
      tag: id,
      metadata: text(bytes),
      metadataVersion: 0,
      agentState: null,
      agentStateVersion: 0,
      dataEncryptionKey: null,
      archivedAt: null
    })
  )

export const draft = (accountId: string, sessionId: string, bytes: number): Message.Draft =>
  Message.draft(accountId, sessionId, { ciphertext: text(bytes), localId: cuid() }, cuid(), 5)

export const message = (accountId: string, sessionId: string, bytes: number) =>
  Effect.flatMap(MessageStore.MessageStore, (store) => store.append(draft(accountId, sessionId, bytes)))

export const messages = (accountId: string, sessionId: string, count: number) =>
  Effect.flatMap(MessageStore.MessageStore, (store) =>
    store.appendAll(Array.from({ length: count }, () => draft(accountId, sessionId, 1)))
  )

export const state = (accountId: string, id: string, bytes: number, expectedVersion: number) =>
  Effect.flatMap(SessionStore.SessionStore, (store) =>
    store.replace({ accountId, id, changes: [{ text: "agentState", value: text(bytes), expectedVersion }] })
  )

export const removal = (accountId: string, id: string) =>
  Effect.flatMap(SessionStore.SessionStore, (store) => store.remove(accountId, id))

export const archive = (accountId: string, id: string, archivedAt: number | null) =>
  Effect.flatMap(SessionStore.SessionStore, (store) => store.archive({ accountId, id, archivedAt }))

export const machine = (accountId: string, id: string, bytes: number) =>
  Effect.flatMap(MachineStore.MachineStore, (store) =>
    store.insert({
      ...times,
      id,
      accountId,
      metadata: text(bytes),
      metadataVersion: 1,
      daemonState: null,
      daemonStateVersion: 0,
      dataEncryptionKey: null,
      revokedAt: null
    })
  )

export const daemonState = (accountId: string, id: string, bytes: number, expectedVersion: number) =>
  Effect.flatMap(MachineStore.MachineStore, (store) =>
    store.replace({ accountId, id, text: "daemonState", value: text(bytes), expectedVersion })
  )

export const revocation = (accountId: string, id: string) =>
  Effect.flatMap(MachineStore.MachineStore, (store) => store.revoke(accountId, id))

export const report = (accountId: string, key: string, sessionId: string | undefined, amount: number) =>
  Effect.flatMap(UsageStore.UsageStore, (store) =>
    store.replace(accountId, { key, sessionId, tokens: { total: amount }, cost: { total: amount } })
  )

export const artifact = (accountId: string, id: string, bytes: number) =>
  Effect.flatMap(ArtifactStore.ArtifactStore, (store) =>
    store.insert({
      id,
      accountId,
      header: data(bytes),
      headerVersion: 1,
      body: data(bytes),
      bodyVersion: 1,
      dataEncryptionKey: data(8),
      seq: 0,
      createdAt: 5,
      updatedAt: 5
    })
  )

export const artifactBody = (accountId: string, id: string, bytes: number, expectedVersion: number) =>
  Effect.flatMap(ArtifactStore.ArtifactStore, (store) =>
    store.replace(accountId, id, { header: undefined, body: { data: data(bytes), expectedVersion } })
  )

export const artifactRemoval = (accountId: string, id: string) =>
  Effect.flatMap(ArtifactStore.ArtifactStore, (store) => store.remove(accountId, id))

export const value = (accountId: string, key: string, bytes: number | null, version: number) =>
  Effect.flatMap(KeyValueStore.KeyValueStore, (store) =>
    store.mutate(accountId, [{ key, value: bytes === null ? null : data(bytes), version }])
  )

export const accessKey = (accountId: string, sessionId: string, machineId: string, bytes: number) =>
  Effect.flatMap(AccessKeyStore.AccessKeyStore, (store) =>
    store.insert({ accountId, sessionId, machineId }, { data: text(bytes), dataVersion: 1, createdAt: 5, updatedAt: 5 })
  )

export const accessKeyData = (accountId: string, sessionId: string, machineId: string, bytes: number) =>
  Effect.flatMap(AccessKeyStore.AccessKeyStore, (store) =>
    store.replace({ accountId, sessionId, machineId }, text(bytes), 1)
  )

export const pushToken = (accountId: string, token: string) =>
  Effect.flatMap(PushTokenStore.PushTokenStore, (store) => store.add(accountId, token))

export const vendorToken = (accountId: string, bytes: number) =>
  Effect.flatMap(VendorTokenStore.VendorTokenStore, (store) => store.replace(accountId, "openai", data(bytes)))

export const vendorTokenRemoval = (accountId: string) =>
  Effect.flatMap(VendorTokenStore.VendorTokenStore, (store) => store.remove(accountId, "openai"))

export const settings = (accountId: string, bytes: number, expectedVersion: number) =>
  Effect.flatMap(SettingsStore.SettingsStore, (store) =>
    store.replace({ accountId, settings: text(bytes), expectedVersion })
  )

/** What the triggers have kept, and what the rows say. */
export const totals = (accountId: string) =>
  Effect.gen(function* () {
    const { query } = yield* QuotaWorld
    const [found] = yield* query(
      `SELECT "byteCount" AS "bytes", "rowCount" AS "rows", "isCounted" FROM "PresenceAccountUsage"
       WHERE "accountId" = ?`,
      accountId
    )
    // The driver of PostgreSQL returns its large numbers as texts.
    const kept = found && {
      bytes: Number(found["bytes"]),
      rows: Number(found["rows"]),
      isCounted: Number(found["isCounted"])
    }
    const { bytes, rows } = yield* Recount.sum(yield* DatabaseReader, accountId)
    return { kept, counted: { bytes, rows, isCounted: 1 } }
  })

/** The kind of the refusal, or `undefined` for a write that was done. */
export const refusalOf = <E extends { readonly _tag: string }, R>(write: Effect.Effect<unknown, E, R>) =>
  Effect.map(Effect.either(write), (outcome) => {
    if (outcome._tag === "Right") return undefined
    const failure: unknown = outcome.left
    return (failure as { readonly quota?: string }).quota ?? outcome.left._tag
  })
