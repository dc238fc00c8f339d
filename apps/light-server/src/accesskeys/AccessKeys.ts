/** Access keys of an account, one for each of its sessions on each of its machines. */
import { Context, Effect, Layer, Option } from "effect"
import * as PresenceKey from "../entities/PresenceKey.ts"
import type { ReadFailed } from "../database/DatabaseReader.ts"
import { Ownership, requireOwned } from "../entities/Ownership.ts"
import { Conflict, NotFound } from "../Failure.ts"
import { type AccessKey, AccessKeyStore, type Place } from "./AccessKeyStore.ts"
import type { WriteFailure } from "../quota/AccountWriter.ts"

/** What became of a compare-and-set. The key is the current one. */
export type Replaced =
  | { readonly _tag: "Replaced"; readonly version: number }
  | { readonly _tag: "VersionMismatch"; readonly key: AccessKey }

const noPlace = new NotFound({ what: "Session or machine" })

const noKey = new NotFound({ what: "Access key" })

export class AccessKeys extends Context.Tag("light-server/AccessKeys")<
  AccessKeys,
  {
    /** Fails with `NotFound` unless session and machine are the account's. */
    readonly find: (place: Place) => Effect.Effect<Option.Option<AccessKey>, NotFound | ReadFailed>
    readonly create: (
      place: Place,
      data: string
    ) => Effect.Effect<AccessKey, NotFound | Conflict | WriteFailure | ReadFailed>
    readonly replace: (
      place: Place,
      data: string,
      expectedVersion: number
    ) => Effect.Effect<Replaced, NotFound | WriteFailure | ReadFailed>
  }
>() {}

export const make: Effect.Effect<AccessKeys["Type"], never, AccessKeyStore | Ownership> = Effect.gen(function* () {
  const store = yield* AccessKeyStore
  const ownership = yield* Ownership

  const requirePlace = ({ accountId, machineId, sessionId }: Place) =>
    Effect.all([
      requireOwned(ownership, PresenceKey.session(accountId, sessionId)),
      requireOwned(ownership, PresenceKey.machine(accountId, machineId))
    ]).pipe(Effect.catchTag("NotFound", () => Effect.fail(noPlace)))

  return AccessKeys.of({
    find: (place) => Effect.zipRight(requirePlace(place), store.find(place)),
    create: (place, data) =>
      Effect.gen(function* () {
        yield* requirePlace(place)
        const now = Date.now()
        const key: AccessKey = { data, dataVersion: 1, createdAt: now, updatedAt: now }
        yield* store.insert(place, key)
        return key
      }).pipe(
        Effect.catchTag("WriteConflict", () =>
          Effect.flatMap(store.find(place), (found): Effect.Effect<never, Conflict | NotFound> =>
            Effect.fail(Option.isSome(found) ? new Conflict({ error: "Access key already exists" }) : noPlace)
          )
        )
      ),
    replace: (place, data, expectedVersion) =>
      store.replace(place, data, expectedVersion).pipe(
        Effect.as<Replaced>({ _tag: "Replaced", version: expectedVersion + 1 }),
        Effect.catchTag("WriteConflict", () =>
          Effect.flatMap(
            store.find(place),
            Option.match({
              onNone: () => Effect.fail(noKey),
              onSome: (key) => Effect.succeed<Replaced>({ _tag: "VersionMismatch", key })
            })
          )
        )
      )
  })
})

export const layer: Layer.Layer<AccessKeys, never, AccessKeyStore | Ownership> = Layer.effect(AccessKeys, make)
