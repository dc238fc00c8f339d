/** Registration, list and compare-and-set of machines. */
import { Context, Effect, Layer, Option } from "effect"
import { Presence } from "../entities/Presence.ts"
import * as PresenceKey from "../entities/PresenceKey.ts"
import type { DatabaseReader, ReadFailed } from "../database/DatabaseReader.ts"
import * as AccountCursor from "../entities/AccountCursor.ts"
import * as CompareAndSet from "../entities/CompareAndSet.ts"
import * as FindOrCreate from "../entities/FindOrCreate.ts"
import * as Liveness from "../entities/Liveness.ts"
import * as Outbox from "../entities/Outbox.ts"
import { Ownership, requireOwned } from "../entities/Ownership.ts"
import { MachineIdConflict, MachineRevoked, NotFound, type Unauthorized } from "../Failure.ts"
import type { Emitter } from "../realtime/sending/Emitter.ts"
import * as Machine from "./Machine.ts"
import * as MachineAnnouncements from "./MachineAnnouncements.ts"
import { MachineStore, type MachineText, type Replacement } from "./MachineStore.ts"
import type { WriteFailure } from "../quota/AccountWriter.ts"

export type Replaced = CompareAndSet.Replaced<MachineText>

/** A machine where clients also see its number. */
export type ListedMachine = Machine.MachineView & { readonly seq: number }

/** A revoked machine. */
export type RevokedMachine = ListedMachine & { readonly revokedAt: number }

export class MachineRegistry extends Context.Tag("light-server/MachineRegistry")<
  MachineRegistry,
  {
    /**
     * Creates a machine, or returns the one that has the id, without a write. A
     * revoked machine is refused.
     */
    readonly register: (
      accountId: string,
      registration: Machine.Registration
    ) => Effect.Effect<
      Machine.MachineView,
      MachineIdConflict | MachineRevoked | Unauthorized | WriteFailure | ReadFailed
    >
    readonly find: (
      accountId: string,
      id: string
    ) => Effect.Effect<ListedMachine, NotFound | MachineRevoked | ReadFailed>
    /** Replaces one text if it is at the expected version, and announces it to the apps and the machine. */
    readonly replace: (
      replacement: Replacement
    ) => Effect.Effect<Replaced, NotFound | MachineRevoked | Unauthorized | WriteFailure | ReadFailed>
    /**
     * Revokes a machine for good: its connection ends, and its id cannot be registered again. A machine that is revoked
     * already is returned unchanged.
     */
    readonly revoke: (
      accountId: string,
      id: string
    ) => Effect.Effect<RevokedMachine, NotFound | Unauthorized | WriteFailure | ReadFailed>
  }
>() {}

const keyOf = ({ accountId, id }: { readonly accountId: string; readonly id: string }) =>
  PresenceKey.machine(accountId, id)

const changeOf = (id: string) => ({ kind: "machine", id }) as const

const isRevoked = ({ revokedAt }: Machine.Machine): boolean => revokedAt !== null

/** A machine of another account fails like a missing one. */
const ownOf =
  (accountId: string) =>
  (found: Option.Option<Machine.Machine>): Effect.Effect<Machine.Machine, NotFound> =>
    Option.isSome(found) && found.value.accountId === accountId
      ? Effect.succeed(found.value)
      : Effect.fail(new NotFound({ what: "Machine" }))

/** Refuses machines that the account may not use. */
const guardOf = (ownership: Ownership["Type"]) => {
  /** The connection of its daemon ends as well. */
  const refuseRevoked = (machine: Machine.Machine) =>
    Effect.suspend(() => {
      ownership.revoke(keyOf(machine))
      return Effect.fail(new MachineRevoked())
    })

  const requireOwn = (accountId: string) => (found: Option.Option<Machine.Machine>) =>
    Effect.flatMap(ownOf(accountId)(found), (machine) =>
      isRevoked(machine) ? refuseRevoked(machine) : Effect.succeed(machine)
    )

  return { refuseRevoked, requireOwn }
}

const findOrCreateIn =
  (store: MachineStore["Type"], outbox: Outbox.Outbox, announcements: MachineAnnouncements.MachineAnnouncements) =>
  (accountId: string, registration: Machine.Registration) =>
    FindOrCreate.run({
      outbox,
      find: store.find(registration.id),
      make: () => Machine.make(accountId, registration, Date.now()),
      changeOf: ({ id }) => ({ accountId, change: changeOf(id) }),
      insert: store.insert,
      isStored: ({ id }) =>
        Effect.map(
          store.find(id),
          Option.exists((found) => found.accountId === accountId)
        ),
      send: announcements.created,
      isOwn: (found) => found.accountId === accountId && !isRevoked(found)
    })

const viewsIn = (presence: Presence["Type"]) => {
  const viewOf = (machine: Machine.Machine) => Machine.view(machine, Liveness.of(presence, keyOf(machine), machine))
  return { viewOf, viewWithSeq: (machine: Machine.Machine) => ({ ...viewOf(machine), seq: machine.seq }) }
}

export const make = Effect.gen(function* () {
  const store = yield* MachineStore
  const presence = yield* Presence
  const ownership = yield* Ownership
  const outbox = yield* Outbox.make
  const announcements = yield* MachineAnnouncements.make
  const { refuseRevoked, requireOwn } = guardOf(ownership)

  const { viewOf, viewWithSeq } = viewsIn(presence)
  const findOrCreate = findOrCreateIn(store, outbox, announcements)
  const findOwn = (accountId: string, id: string) => Effect.flatMap(store.find(id), ownOf(accountId))

  const revoke = (accountId: string, id: string) =>
    Effect.gen(function* () {
      const key = PresenceKey.machine(accountId, id)
      yield* findOwn(accountId, id)
      yield* (
        outbox
          .commit(
            { accountId, change: changeOf(id), mark: "revoked" },
            {
              write: store.revoke(accountId, id),
              isStored: Effect.map(store.find(id), Option.exists(isRevoked)),
              send: (cursor) => announcements.revoked(accountId, id, Date.now(), cursor)
            }
          )
          // It was revoked already.
          .pipe(Effect.catchTag("WriteConflict", AccountCursor.requireAccount))
      )
      ownership.revoke(key)
      presence.forget(key)
      const machine = yield* findOwn(accountId, id)
      return { ...viewWithSeq(machine), active: false, revokedAt: machine.revokedAt ?? Date.now() }
    }).pipe(Effect.uninterruptible)

  return MachineRegistry.of({
    revoke,
    register: (accountId, registration) =>
      Effect.gen(function* () {
        const machine = yield* findOrCreate(accountId, registration)
        if (machine.accountId !== accountId) return yield* new MachineIdConflict()
        if (isRevoked(machine)) return yield* refuseRevoked(machine)
        ownership.learn(keyOf(machine))
        return viewOf(machine)
      }),
    find: (accountId, id) => Effect.map(Effect.flatMap(store.find(id), requireOwn(accountId)), viewWithSeq),
    replace: (replacement) => {
      const { accountId, id } = replacement
      return CompareAndSet.run({
        outbox,
        accountId,
        change: changeOf(id),
        changes: [replacement],
        authorize: requireOwned(ownership, keyOf(replacement)),
        write: store.replace(replacement),
        find: store.find(id),
        require: requireOwn(accountId),
        send: ([replaced], cursor) => announcements.replaced(accountId, id, replaced, cursor)
      })
    }
  })
})

export const layer: Layer.Layer<
  MachineRegistry,
  never,
  MachineStore | Presence | Ownership | Emitter | DatabaseReader
> = Layer.scoped(MachineRegistry, make)
