/**
 * Artifacts of accounts, for requests and for events of sockets. What changes is announced to all apps of the account,
 * the sender included.
 */
import { Context, Effect, Layer, Option, type Scope } from "effect"
import { createHash } from "node:crypto"
import type { DatabaseReader, ReadFailed } from "../database/DatabaseReader.ts"
import type { ReadFailure } from "../database/ReadFailure.ts"
import * as BoundedList from "../database/BoundedList.ts"
import * as AccountCursor from "../entities/AccountCursor.ts"
import * as FindOrCreate from "../entities/FindOrCreate.ts"
import * as Outbox from "../entities/Outbox.ts"
import { Conflict, NotFound, type Unauthorized } from "../Failure.ts"
import { Emitter } from "../realtime/sending/Emitter.ts"
import * as Room from "../realtime/sending/Room.ts"
import * as Artifact from "./Artifact.ts"
import { ArtifactStore } from "./ArtifactStore.ts"
import type { WriteFailure } from "../quota/AccountWriter.ts"

export interface NewArtifact {
  readonly id: string
  readonly header: Uint8Array
  readonly body: Uint8Array
  readonly dataEncryptionKey: Uint8Array
}

/** What became of a compare-and-set. The artifact is the current one. */
export type Replaced =
  | { readonly _tag: "Replaced" }
  | { readonly _tag: "VersionMismatch"; readonly artifact: Artifact.Artifact }

type StoreFailure = WriteFailure | ReadFailed | Unauthorized

export class ArtifactRegistry extends Context.Tag("light-server/ArtifactRegistry")<
  ArtifactRegistry,
  {
    readonly find: (accountId: string, id: string) => Effect.Effect<Artifact.Artifact, NotFound | ReadFailed>
    /** As JSON. `isCut`: the rest would make the answer too large. */
    readonly list: (
      accountId: string
    ) => Effect.Effect<{ readonly json: Uint8Array; readonly isCut: boolean }, ReadFailure>
    /** Returns the stored one when the account has it already. Fails with `Conflict` when another account has it. */
    readonly create: (accountId: string, sent: NewArtifact) => Effect.Effect<Artifact.Artifact, Conflict | StoreFailure>
    readonly replace: (
      accountId: string,
      id: string,
      change: Artifact.ArtifactChange
    ) => Effect.Effect<Replaced, NotFound | StoreFailure>
    readonly remove: (accountId: string, id: string) => Effect.Effect<void, NotFound | StoreFailure>
  }
>() {}

const missing = new NotFound({ what: "Artifact" })

const isEqual = (one: Uint8Array, other: Uint8Array) => Buffer.compare(one, other) === 0

/** Distinguishes two changes with the same expected versions. */
const markOf = ({ body, header }: Artifact.ArtifactChange): string => {
  const digest = createHash("sha256")
  for (const part of [header, body]) digest.update(`${part?.expectedVersion ?? ""}:`).update(part?.data ?? "")
  return digest.digest("base64")
}

const isStoredPart = (part: Artifact.PartChange | undefined, version: number, data: Uint8Array) =>
  part === undefined || (version === part.expectedVersion + 1 && isEqual(data, part.data))

const announced = (accountId: string, id: string, mark: string): Outbox.Announced => ({
  accountId,
  change: { kind: "artifact", id },
  mark
})

const isStoredChange =
  (change: Artifact.ArtifactChange) =>
  ({ body, bodyVersion, header, headerVersion }: Artifact.Artifact): boolean =>
    isStoredPart(change.header, headerVersion, header) && isStoredPart(change.body, bodyVersion, body)

/** Announces to all apps of an account, the sender included. */
const senderOf =
  (emitter: Emitter["Type"]) =>
  (accountId: string, body: { readonly t: string; readonly artifactId: string }): Outbox.Send =>
  (cursor) =>
    emitter.update(Room.toApps(accountId), { seq: cursor, body })

const listIn = (store: ArtifactStore["Type"]) => (accountId: string) =>
  store.list(accountId).pipe(
    Effect.tap((list) => BoundedList.reportCut("Artifact", list)),
    Effect.map(({ isCut, rows }) => ({ json: BoundedList.toJson("[", rows, "]"), isCut }))
  )

const findersOf = (store: ArtifactStore["Type"]) => {
  const findOwn = (accountId: string, id: string) =>
    Effect.map(
      store.find(id),
      Option.filter((artifact) => artifact.accountId === accountId)
    )

  const find = (accountId: string, id: string) =>
    Effect.flatMap(findOwn(accountId, id), Option.match({ onNone: () => Effect.fail(missing), onSome: Effect.succeed }))

  return { find, findOwn }
}

export const make: Effect.Effect<
  ArtifactRegistry["Type"],
  never,
  ArtifactStore | Emitter | DatabaseReader | Scope.Scope
> = Effect.gen(function* () {
  const store = yield* ArtifactStore
  const send = senderOf(yield* Emitter)
  const outbox = yield* Outbox.make

  const { find, findOwn } = findersOf(store)

  const create = (accountId: string, sent: NewArtifact) =>
    FindOrCreate.run<Artifact.Artifact>({
      outbox,
      find: store.find(sent.id),
      make: () => {
        const now = Date.now()
        return { ...sent, accountId, headerVersion: 1, bodyVersion: 1, seq: 0, createdAt: now, updatedAt: now }
      },
      changeOf: ({ id }) => ({ accountId, change: { kind: "artifact", id } }),
      insert: store.insert,
      isStored: ({ id }) => Effect.map(findOwn(accountId, id), Option.isSome),
      send: (artifact, cursor) => send(accountId, Artifact.newArtifact(artifact))(cursor),
      isOwn: (artifact) => artifact.accountId === accountId
    }).pipe(
      Effect.filterOrFail(
        (artifact) => artifact.accountId === accountId,
        () => new Conflict({ error: "Artifact with this ID already exists for another account" })
      )
    )

  const replace = (accountId: string, id: string, change: Artifact.ArtifactChange) =>
    outbox
      .commit(announced(accountId, id, markOf(change)), {
        write: store.replace(accountId, id, change),
        isStored: Effect.map(findOwn(accountId, id), Option.exists(isStoredChange(change))),
        send: send(accountId, Artifact.updateArtifact(id, change))
      })
      .pipe(
        Effect.as<Replaced>({ _tag: "Replaced" }),
        Effect.catchTag("WriteConflict", (conflict) =>
          Effect.gen(function* () {
            yield* AccountCursor.requireAccount(conflict)
            return { _tag: "VersionMismatch", artifact: yield* find(accountId, id) } as const
          })
        )
      )

  const remove = (accountId: string, id: string) =>
    outbox
      .commit(announced(accountId, id, "delete"), {
        write: store.remove(accountId, id),
        isStored: Effect.map(findOwn(accountId, id), Option.isNone),
        send: send(accountId, { t: "delete-artifact", artifactId: id })
      })
      .pipe(
        Effect.catchTag("WriteConflict", (conflict) =>
          Effect.zipRight(AccountCursor.requireAccount(conflict), Effect.fail(missing))
        )
      )

  return ArtifactRegistry.of({
    find,
    list: listIn(store),
    // A client that disconnects cancels neither the write nor its announcement.
    create,
    replace: (accountId, id, change) => Effect.uninterruptible(replace(accountId, id, change)),
    remove: (accountId, id) => Effect.uninterruptible(remove(accountId, id))
  })
})

export const layer: Layer.Layer<ArtifactRegistry, never, ArtifactStore | Emitter | DatabaseReader> = Layer.scoped(
  ArtifactRegistry,
  make
)
