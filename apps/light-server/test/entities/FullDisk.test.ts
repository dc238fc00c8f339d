/** What can be done when only the reserve of the disk is left: everything that frees space or ends something. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { Writer } from "presence-effect/writer/Writer"
import type { WriterError } from "presence-effect/writer/WriterError"
import * as PairingStore from "../../src/accounts/PairingStore.ts"
import * as TokenRevocation from "../../src/accounts/TokenRevocation.ts"
import * as ArtifactStore from "../../src/artifacts/ArtifactStore.ts"
import * as ChangePruner from "../../src/changes/ChangePruner.ts"
import * as VendorTokenStore from "../../src/connect/VendorTokenStore.ts"
import * as TimeForm from "../../src/database/TimeForm.ts"
import * as KeyValueStore from "../../src/kv/KeyValueStore.ts"
import * as MachineStore from "../../src/machines/MachineStore.ts"
import * as PushTokenStore from "../../src/push/PushTokenStore.ts"
import * as SessionStore from "../../src/sessions/SessionStore.ts"
import { until } from "proving/drivers/Eventually"
import { addMessages, addSession, addTwoSessions } from "proving/drivers/Rows"
import * as FileDatabase from "../support/FileDatabase.ts"

const rows = `
  INSERT INTO "Machine" ("id", "accountId", "metadata", "lastActiveAt", "createdAt", "updatedAt")
    VALUES ('m1', 'a1', 'sealed', 5, 5, 5);
  INSERT INTO "Artifact" ("id", "accountId", "header", "body", "dataEncryptionKey", "createdAt", "updatedAt")
    VALUES ('f1', 'a1', x'00', x'00', x'00', 5, 5);
  INSERT INTO "UserKVStore" ("id", "accountId", "key", "value", "createdAt", "updatedAt")
    VALUES ('k1', 'a1', 'key', x'00', 5, 5);
  INSERT INTO "AccountPushToken" ("id", "accountId", "token", "createdAt", "updatedAt") VALUES ('p1', 'a1', 't', 5, 5);
  INSERT INTO "ServiceAccountToken" ("id", "accountId", "vendor", "token", "createdAt", "updatedAt")
    VALUES ('v1', 'a1', 'openai', x'00', 5, 5);
  INSERT INTO "TerminalAuthRequest" ("id", "publicKey", "createdAt", "updatedAt") VALUES ('r1', 'key', 5, 5);
  INSERT INTO "AccountChange" ("accountId", "kind", "entityId", "cursor", "changedAt") VALUES ('a1', 'kv', 'x', 1, 5)`

const layer = Layer.mergeAll(
  SessionStore.layer,
  MachineStore.layer,
  ArtifactStore.layer,
  KeyValueStore.layer,
  PushTokenStore.layer,
  VendorTokenStore.layer,
  PairingStore.layer()
).pipe(
  Layer.provideMerge(TimeForm.layer),
  Layer.provideMerge(FileDatabase.layerWith({ freeReserveBytes: Number.MAX_SAFE_INTEGER }))
)

const prepared = Effect.tap(FileDatabase.FileDatabase, (database) => {
  addTwoSessions(database)
  addSession(database, "a1", "long")
  addMessages(database, "long", 2500)
  database.sqlite.exec(rows)
})

const isRefused = (self: Effect.Effect<unknown, WriterError | { readonly _tag: string }>) =>
  Effect.map(Effect.either(self), (outcome) => outcome._tag === "Left" && outcome.left._tag === "DatabaseFull")

describe("a disk with only the reserve left", () => {
  it.scopedLive("accepts nothing new", () =>
    Effect.gen(function* () {
      yield* prepared
      const keyValues = yield* KeyValueStore.KeyValueStore
      const pushTokens = yield* PushTokenStore.PushTokenStore
      const value = new Uint8Array(8)
      assert.isTrue(yield* isRefused(keyValues.mutate("a1", [{ key: "key", value, version: 0 }])))
      assert.isTrue(yield* isRefused(keyValues.mutate("a1", [{ key: "new", value: null, version: -1 }])))
      const mixed = [
        { key: "key", value: null, version: 0 },
        { key: "new", value, version: -1 }
      ]
      assert.isTrue(yield* isRefused(keyValues.mutate("a1", mixed)))
      assert.isTrue(yield* isRefused(pushTokens.add("a1", "other")))
    }).pipe(Effect.provide(layer))
  )

  it.scopedLive("lets everything be deleted and ended", () =>
    Effect.gen(function* () {
      const { query } = yield* prepared
      const sessions = yield* SessionStore.SessionStore
      yield* sessions.remove("a1", "s1")
      // In steps: its rows go after it.
      yield* sessions.remove("a1", "long")
      yield* (yield* MachineStore.MachineStore).revoke("a1", "m1")
      yield* (yield* ArtifactStore.ArtifactStore).remove("a1", "f1")
      yield* (yield* KeyValueStore.KeyValueStore).mutate("a1", [{ key: "key", value: null, version: 0 }])
      yield* (yield* PushTokenStore.PushTokenStore).remove("a1", "t")
      yield* (yield* VendorTokenStore.VendorTokenStore).remove("a1", "openai")
      yield* (yield* PairingStore.PairingStore).prune("terminal", Date.now())
      yield* TokenRevocation.revokeTokens("a1")
      const writer = yield* Writer
      assert.isAtLeast(yield* writer.write(Lane.maintenance, ChangePruner.pruneWrite("a1", 1)), 1)
      yield* until(
        Effect.sync(() => query(`SELECT "id" FROM "SessionMessage"`).length),
        (count) => count === 0
      )
      const left = [
        ...query(`SELECT "id" FROM "Session" WHERE "id" <> 's2'`),
        ...query(`SELECT "id" FROM "Artifact"`),
        ...query(`SELECT "id" FROM "UserKVStore" WHERE "value" IS NOT NULL`),
        ...query(`SELECT "id" FROM "AccountPushToken"`),
        ...query(`SELECT "id" FROM "ServiceAccountToken"`),
        ...query(`SELECT "id" FROM "TerminalAuthRequest"`)
      ]
      assert.deepStrictEqual(left, [])
      assert.lengthOf(query(`SELECT "machineId" FROM "PresenceMachineRevocation"`), 1)
      assert.lengthOf(query(`SELECT "epoch" FROM "TokenRevocation"`), 1)
    }).pipe(Effect.provide(layer))
  )
})
