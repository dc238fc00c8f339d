/**
 * The settings of an account: one text, encrypted by its clients, replaced
 * under compare-and-set.
 */
import { Context, Effect, Layer, Option, type Scope } from "effect"
import type { DatabaseReader, ReadFailed } from "../database/DatabaseReader.ts"
import * as CompareAndSet from "../entities/CompareAndSet.ts"
import * as Outbox from "../entities/Outbox.ts"
import { invalidToken, type Unauthorized } from "../Failure.ts"
import { Emitter } from "../realtime/sending/Emitter.ts"
import * as Room from "../realtime/sending/Room.ts"
import { type Replacement, type Settings, SettingsStore } from "./SettingsStore.ts"
import type { WriteFailure } from "../quota/AccountWriter.ts"

export type Replaced = CompareAndSet.Replaced<"settings">

export class AccountSettings extends Context.Tag("light-server/AccountSettings")<
  AccountSettings,
  {
    readonly read: (accountId: string) => Effect.Effect<Settings, Unauthorized | ReadFailed>
    /** Replaces the settings if they are at the expected version, and announces it to the apps of the account. */
    readonly replace: (replacement: Replacement) => Effect.Effect<Replaced, Unauthorized | WriteFailure | ReadFailed>
  }
>() {}

const requireFound = Option.match({
  onNone: () => Effect.fail(invalidToken),
  onSome: (settings: Settings) => Effect.succeed(settings)
})

export const make: Effect.Effect<
  AccountSettings["Type"],
  never,
  SettingsStore | Emitter | DatabaseReader | Scope.Scope
> = Effect.gen(function* () {
  const store = yield* SettingsStore
  const emitter = yield* Emitter
  const outbox = yield* Outbox.make

  return AccountSettings.of({
    read: (accountId) => Effect.flatMap(store.find(accountId), requireFound),
    replace: (replacement) => {
      const { accountId, settings, expectedVersion } = replacement
      return CompareAndSet.run({
        outbox,
        accountId,
        change: { kind: "account" },
        changes: [{ text: "settings", value: settings, expectedVersion }],
        write: store.replace(replacement),
        find: store.find(accountId),
        require: requireFound,
        send: ([{ value, version }], cursor) =>
          emitter.update(Room.toApps(accountId), {
            seq: cursor,
            body: { t: "update-account", id: accountId, settings: { value, version } }
          })
      })
    }
  })
})

export const layer: Layer.Layer<AccountSettings, never, SettingsStore | Emitter | DatabaseReader> = Layer.scoped(
  AccountSettings,
  make
)
