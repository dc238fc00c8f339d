/** Registration of machines, and what others are told about it. */
import { Context, Effect, Layer, Option } from "effect"
import { Presence } from "presence-effect/Presence"
import * as PresenceKey from "presence-effect/presence/PresenceKey"
import type { WriterError } from "presence-effect/writer/WriterError"
import type { DatabaseReader, ReadFailed } from "../database/DatabaseReader.ts"
import { MachineIdConflict, MachineRevoked, NotFound, type Unauthorized } from "../Failure.ts"
import * as AccountCursor from "../entities/AccountCursor.ts"
import * as Outbox from "../entities/Outbox.ts"
import { Emitter } from "../realtime/sending/Emitter.ts"
import * as Liveness from "../entities/Liveness.ts"
import { Ownership, requireOwned } from "../entities/Ownership.ts"
import * as Room from "../realtime/sending/Room.ts"
import * as Machine from "./Machine.ts"
import { MachineStore, type Replacement } from "./MachineStore.ts"

/** What became of a compare-and-set. `value` and `version` are the current ones. */
export type Replaced =
  | { readonly _tag: "Replaced"; readonly version: number; readonly value: string }
  | { readonly _tag: "VersionMismatch"; readonly version: number; readonly value: string | null }

/** A machine where clients also see its number. */
export type ListedMachine = Machine.MachineView & { readonly seq: number }

export class MachineRegistry extends Context.Tag("light-server/MachineRegistry")<
  MachineRegistry,
  {
    /**
     * Creates a machine, or answers with the known one. A known machine needs no
     * write: it is answered while another process holds the write lock. One that
     * was revoked is refused.
     */
    readonly register: (
      accountId: string,
      registration: Machine.Registration
    ) => Effect.Effect<
      Machine.MachineView,
      MachineIdConflict | MachineRevoked | Unauthorized | WriterError | ReadFailed
    >
    readonly find: (
      accountId: string,
      id: string
    ) => Effect.Effect<ListedMachine, NotFound | MachineRevoked | ReadFailed>
    /** Replaces one text if it is at the expected version. Apps and the machine hear of it. */
    readonly replace: (
      replacement: Replacement
    ) => Effect.Effect<Replaced, NotFound | MachineRevoked | Unauthorized | WriterError | ReadFailed>
  }
>() {}

export const make = Effect.gen(function* () {
  const store = yield* MachineStore
  const presence = yield* Presence
  const ownership = yield* Ownership
  const emitter = yield* Emitter
  const outbox = yield* Outbox.make

  const livenessOf = (machine: Machine.Machine) =>
    Liveness.of(presence, PresenceKey.machine(machine.accountId, machine.id), machine)
  const viewOf = (machine: Machine.Machine) => Machine.view(machine, livenessOf(machine))
  const viewWithSeq = (machine: Machine.Machine) => ({ ...viewOf(machine), seq: machine.seq })

  /** Another server of the file has revoked it: its daemon hears it, too. */
  const refuseRevoked = ({ accountId, id }: Machine.Machine) =>
    Effect.suspend(() => {
      ownership.revoke(PresenceKey.machine(accountId, id))
      return Effect.fail(new MachineRevoked())
    })

  /** The row of the account; one of another account is not found either. */
  const own = (accountId: string, id: string) =>
    Effect.gen(function* () {
      const found = yield* store.find(id)
      if (Option.isNone(found) || found.value.accountId !== accountId) {
        return yield* new NotFound({ what: "Machine" })
      }
      return found.value.isRevoked ? yield* refuseRevoked(found.value) : found.value
    })

  const announce = (machine: Machine.Machine, cursor: number) => {
    const { accountId, id } = machine
    ownership.learn(PresenceKey.machine(accountId, id))
    emitter.update(Room.toApps(accountId), { seq: cursor, body: Machine.newMachine(machine, livenessOf(machine)) })
    emitter.update(Room.toMachine(accountId, id), {
      seq: cursor,
      body: {
        t: "update-machine",
        machineId: id,
        metadata: { value: machine.metadata, version: machine.metadataVersion }
      }
    })
  }

  const changeOf = (accountId: string, id: string, mark: string): Outbox.Announced => ({
    accountId,
    change: { kind: "machine", id },
    mark
  })

  const create = (machine: Machine.Machine) => {
    const { accountId, id } = machine
    return outbox
      .commit(changeOf(accountId, id, "created"), {
        write: store.insert(machine),
        isStored: Effect.map(
          store.find(id),
          Option.exists((found) => found.accountId === accountId)
        ),
        send: (cursor) => announce(machine, cursor)
      })
      .pipe(
        Effect.as(machine),
        // Who hangs up takes back neither the write nor the word about it.
        Effect.uninterruptible
      )
  }

  /** What a row that is known means to others; it may come from a write that was not confirmed. */
  const meet = (accountId: string, machine: Machine.Machine) => {
    if (machine.accountId !== accountId || machine.isRevoked) return Effect.succeed(machine)
    ownership.learn(PresenceKey.machine(accountId, machine.id))
    const settled = outbox.settle(changeOf(accountId, machine.id, "created"), (cursor) => announce(machine, cursor))
    return Effect.as(settled, machine)
  }

  const findOrCreate = (accountId: string, registration: Machine.Registration) =>
    Effect.gen(function* () {
      const known = yield* store.find(registration.id)
      if (Option.isSome(known)) return yield* meet(accountId, known.value)
      return yield* create(Machine.make(accountId, registration, Date.now())).pipe(
        Effect.catchTag("WriteConflict", (conflict) =>
          Effect.gen(function* () {
            yield* AccountCursor.requireAccount(conflict)
            // Somebody else was faster: the winner's row is the answer.
            const winner = yield* store.find(registration.id)
            return Option.isSome(winner) ? yield* meet(accountId, winner.value) : yield* conflict
          })
        )
      )
    })

  const mismatch = (machine: Machine.Machine, text: Replacement["text"]): Replaced => ({
    _tag: "VersionMismatch",
    version: machine[`${text}Version`],
    value: machine[text]
  })

  const announceText = ({ accountId, id, text, value }: Replacement, version: number, cursor: number) => {
    const key = PresenceKey.machine(accountId, id)
    // Only a living daemon reports its state.
    if (text === "daemonState") presence.beat(key, Date.now())
    const seen = text === "daemonState" ? presence.lastSeen(key) : undefined
    emitter.update(Room.toMachine(accountId, id), {
      seq: cursor,
      body: {
        t: "update-machine",
        machineId: id,
        [text]: { value, version },
        ...(seen === undefined ? {} : { activeAt: seen.lastSeenMillis })
      }
    })
  }

  return MachineRegistry.of({
    register: (accountId, registration) =>
      Effect.gen(function* () {
        const machine = yield* findOrCreate(accountId, registration)
        if (machine.accountId !== accountId) return yield* new MachineIdConflict()
        return machine.isRevoked ? yield* refuseRevoked(machine) : viewOf(machine)
      }),
    find: (accountId, id) => Effect.map(own(accountId, id), viewWithSeq),
    replace: (replacement) =>
      Effect.gen(function* () {
        const { accountId, id, text, value, expectedVersion } = replacement
        yield* requireOwned(ownership, PresenceKey.machine(accountId, id))
        const version = expectedVersion + 1
        yield* outbox.commit(changeOf(accountId, id, `${text} ${version}`), {
          write: store.replace(replacement),
          isStored: Effect.map(
            store.find(id),
            Option.exists((machine) => machine[text] === value && machine[`${text}Version`] === version)
          ),
          send: (cursor) => announceText(replacement, version, cursor)
        })
        return { _tag: "Replaced", version, value } as const
      }).pipe(
        // Who hangs up takes back neither the write nor the word about it.
        Effect.uninterruptible,
        Effect.catchTag("WriteConflict", (conflict) =>
          Effect.gen(function* () {
            yield* AccountCursor.requireAccount(conflict)
            const current = yield* own(replacement.accountId, replacement.id)
            return mismatch(current, replacement.text)
          })
        )
      )
  })
})

export const layer: Layer.Layer<
  MachineRegistry,
  never,
  MachineStore | Presence | Ownership | Emitter | DatabaseReader
> = Layer.effect(MachineRegistry, make)
