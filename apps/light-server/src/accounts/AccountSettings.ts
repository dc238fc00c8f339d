/**
 * The settings of an account: one text, encrypted by its clients, replaced
 * under compare-and-set.
 */
import { Clock, Context, Effect, Layer, Option } from "effect"
import type { WriterError } from "presence-effect/writer/WriterError"
import type { DatabaseReader, ReadFailed } from "../database/DatabaseReader.ts"
import { invalidToken, type Unauthorized } from "../Failure.ts"
import * as AccountCursor from "../entities/AccountCursor.ts"
import * as Outbox from "../entities/Outbox.ts"
import { Emitter } from "../realtime/sending/Emitter.ts"
import * as Room from "../realtime/sending/Room.ts"
import { type Replacement, type Settings, SettingsStore } from "./SettingsStore.ts"

/** What became of a compare-and-set. The settings are the current ones. */
export type Replaced =
  | { readonly _tag: "Replaced"; readonly version: number }
  | ({ readonly _tag: "VersionMismatch" } & Settings)

export class AccountSettings extends Context.Tag("light-server/AccountSettings")<
  AccountSettings,
  {
    readonly read: (accountId: string) => Effect.Effect<Settings, Unauthorized | ReadFailed>
    /** Replaces the settings if they are at the expected version. The account's apps hear of it. */
    readonly replace: (replacement: Replacement) => Effect.Effect<Replaced, Unauthorized | WriterError | ReadFailed>
  }
>() {}

export const make: Effect.Effect<AccountSettings["Type"], never, SettingsStore | Emitter | DatabaseReader> = Effect.gen(
  function* () {
    const store = yield* SettingsStore
    const emitter = yield* Emitter
    const outbox = yield* Outbox.make

    const read = (accountId: string) =>
      Effect.flatMap(
        store.find(accountId),
        Option.match({
          onNone: () => Effect.fail(invalidToken),
          onSome: Effect.succeed
        })
      )

    return AccountSettings.of({
      read,
      replace: (replacement) =>
        Effect.gen(function* () {
          const { accountId, settings, expectedVersion } = replacement
          const version = expectedVersion + 1
          yield* outbox.commit(
            { accountId, change: { kind: "account" }, mark: `settings ${version}` },
            {
              write: store.replace(replacement, yield* Clock.currentTimeMillis),
              isStored: Effect.map(
                store.find(accountId),
                Option.exists((found) => found.settings === settings && found.settingsVersion === version)
              ),
              send: (cursor) =>
                emitter.update(Room.toApps(accountId), {
                  seq: cursor,
                  body: { t: "update-account", id: accountId, settings: { value: settings, version } }
                })
            }
          )
          return { _tag: "Replaced", version } as const
        }).pipe(
          // Who hangs up takes back neither the write nor the word about it.
          Effect.uninterruptible,
          Effect.catchTag("WriteConflict", (conflict) =>
            Effect.gen(function* () {
              yield* AccountCursor.requireAccount(conflict)
              return { _tag: "VersionMismatch", ...(yield* read(replacement.accountId)) } as const
            })
          )
        )
    })
  }
)

export const layer: Layer.Layer<AccountSettings, never, SettingsStore | Emitter | DatabaseReader> = Layer.effect(
  AccountSettings,
  make
)
