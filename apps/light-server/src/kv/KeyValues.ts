/** Batches of mutations under compare-and-set: all of a batch is written, or none of it. */
import { Context, Effect, Layer, type Scope } from "effect"
import { createHash } from "node:crypto"
import type { DatabaseReader, ReadFailed } from "../database/DatabaseReader.ts"
import * as AccountCursor from "../entities/AccountCursor.ts"
import * as Outbox from "../entities/Outbox.ts"
import type { Unauthorized } from "../Failure.ts"
import { Emitter } from "../realtime/sending/Emitter.ts"
import * as Room from "../realtime/sending/Room.ts"
import * as KeyValue from "./KeyValue.ts"
import { KeyValueStore } from "./KeyValueStore.ts"
import type { WriteFailure } from "../quota/AccountWriter.ts"

/** The outcome of a batch. A mismatch names every key that is at another version, with its stored value. */
export type Mutated =
  | { readonly _tag: "Mutated"; readonly results: ReadonlyArray<KeyValue.KeyVersion> }
  | { readonly _tag: "VersionMismatch"; readonly current: ReadonlyArray<KeyValue.KeyValue> }

export class KeyValues extends Context.Tag("light-server/KeyValues")<
  KeyValues,
  {
    /** A batch that is stored already, as after a lost answer, succeeds again and changes nothing. */
    readonly mutate: (
      accountId: string,
      mutations: ReadonlyArray<KeyValue.Mutation>
    ) => Effect.Effect<Mutated, Unauthorized | WriteFailure | ReadFailed>
  }
>() {}

const markOf = (mutations: ReadonlyArray<KeyValue.Mutation>): string => {
  const digest = createHash("sha256")
  for (const { key, value, version } of mutations) {
    digest.update(JSON.stringify([key, version, value === null ? null : value.length])).update(value ?? "")
  }
  return digest.digest("base64")
}

export const make: Effect.Effect<KeyValues["Type"], never, KeyValueStore | Emitter | DatabaseReader | Scope.Scope> =
  Effect.gen(function* () {
    const store = yield* KeyValueStore
    const emitter = yield* Emitter
    const outbox = yield* Outbox.make

    const current = (accountId: string, mutations: ReadonlyArray<KeyValue.Mutation>) =>
      Effect.map(
        store.pick(
          accountId,
          mutations.map(({ key }) => key)
        ),
        (rows) => {
          const byKey = new Map(rows.map((row) => [row.key, row]))
          return mutations.map((mutation) => ({ mutation, stored: byKey.get(mutation.key) }))
        }
      )

    const isStored = (accountId: string, mutations: ReadonlyArray<KeyValue.Mutation>) =>
      Effect.map(current(accountId, mutations), (pairs) =>
        pairs.every(({ mutation, stored }) => KeyValue.isResult(mutation, stored))
      )

    /** What a conflicting batch found: its own values, or other versions. */
    const explain = (accountId: string, mutations: ReadonlyArray<KeyValue.Mutation>) =>
      Effect.map(current(accountId, mutations), (pairs): Mutated => {
        if (pairs.every(({ mutation, stored }) => KeyValue.isResult(mutation, stored))) {
          return { _tag: "Mutated", results: KeyValue.versionsOf(mutations) }
        }
        return {
          _tag: "VersionMismatch",
          current: pairs.flatMap(({ mutation: { key, version }, stored }) =>
            (stored?.version ?? KeyValue.never) === version
              ? []
              : [stored ?? { key, value: null, version: KeyValue.never }]
          )
        }
      })

    const mutate: KeyValues["Type"]["mutate"] = (accountId, mutations) =>
      outbox
        .commit(
          { accountId, change: { kind: "kv", keys: mutations.map(({ key }) => key) }, mark: markOf(mutations) },
          {
            write: store.mutate(accountId, mutations),
            isStored: isStored(accountId, mutations),
            send: (cursor) =>
              emitter.update(Room.toApps(accountId), { seq: cursor, body: KeyValue.batchUpdate(mutations) })
          }
        )
        .pipe(
          Effect.as<Mutated>({ _tag: "Mutated", results: KeyValue.versionsOf(mutations) }),
          // A client that disconnects cancels neither the write nor its announcement.
          Effect.uninterruptible,
          Effect.catchTag("WriteConflict", (conflict) =>
            Effect.zipRight(AccountCursor.requireAccount(conflict), explain(accountId, mutations))
          )
        )

    return KeyValues.of({ mutate })
  })

export const layer: Layer.Layer<KeyValues, never, KeyValueStore | Emitter | DatabaseReader> = Layer.scoped(
  KeyValues,
  make
)
