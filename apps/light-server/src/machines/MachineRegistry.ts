/**
 * Registration of machines, and what others are told about it.
 *
 * @since 0.1.0
 */
import { Context, Effect, Layer, Option } from "effect"
import { Presence } from "presence-effect/Presence"
import * as PresenceKey from "presence-effect/PresenceKey"
import type { WriterError } from "presence-effect/WriterError"
import type { ReadFailed } from "../database/DatabaseReader.ts"
import { MachineIdConflict, NotFound, type Unauthorized } from "../http/Failure.ts"
import * as AccountCursor from "../realtime/AccountCursor.ts"
import { Emitter } from "../realtime/Emitter.ts"
import * as Liveness from "../realtime/Liveness.ts"
import { Ownership, requireOwned } from "../realtime/Ownership.ts"
import * as Room from "../realtime/Room.ts"
import * as Machine from "./Machine.ts"
import { MachineStore, type Replacement } from "./MachineStore.ts"

/**
 * What became of a compare-and-set. `value` and `version` are the current ones.
 *
 * @category models
 * @since 0.1.0
 */
export type Replaced =
  | { readonly _tag: "Replaced"; readonly version: number; readonly value: string }
  | { readonly _tag: "VersionMismatch"; readonly version: number; readonly value: string | null }

/**
 * @category services
 * @since 0.1.0
 */
export class MachineRegistry extends Context.Tag("light-server/MachineRegistry")<
  MachineRegistry,
  {
    /**
     * Creates a machine, or answers with the known one. A known machine needs no
     * write: it is answered while another process holds the write lock.
     */
    readonly register: (
      accountId: string,
      registration: Machine.Registration
    ) => Effect.Effect<Machine.MachineView, MachineIdConflict | Unauthorized | WriterError | ReadFailed>
    /** The last active first. */
    readonly list: (
      accountId: string
    ) => Effect.Effect<ReadonlyArray<Machine.MachineView & { readonly seq: number }>, ReadFailed>
    readonly find: (
      accountId: string,
      id: string
    ) => Effect.Effect<Machine.MachineView & { readonly seq: number }, NotFound | ReadFailed>
    /** Replaces one text if it is at the expected version. Apps and the machine hear of it. */
    readonly replace: (
      replacement: Replacement
    ) => Effect.Effect<Replaced, NotFound | Unauthorized | WriterError | ReadFailed>
  }
>() {}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.gen(function* () {
  const store = yield* MachineStore
  const presence = yield* Presence
  const ownership = yield* Ownership
  const emitter = yield* Emitter

  const livenessOf = (machine: Machine.Machine) =>
    Liveness.of(presence, PresenceKey.machine(machine.accountId, machine.id), machine)
  const viewOf = (machine: Machine.Machine) => Machine.view(machine, livenessOf(machine))
  const viewWithSeq = (machine: Machine.Machine) => ({ ...viewOf(machine), seq: machine.seq })

  /** The row of the account; one of another account is not found either. */
  const own = (accountId: string, id: string) =>
    Effect.gen(function* () {
      const found = yield* store.find(id)
      if (Option.isNone(found) || found.value.accountId !== accountId) {
        return yield* new NotFound({ what: "Machine" })
      }
      return found.value
    })

  const announce = (machine: Machine.Machine, cursor: number) => {
    const { accountId, id } = machine
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

  const create = (machine: Machine.Machine) =>
    Effect.map(store.insert(machine), (cursor) => {
      ownership.learn(PresenceKey.machine(machine.accountId, machine.id))
      announce(machine, cursor)
      return machine
      // Who hangs up takes back neither the write nor the word about it.
    }).pipe(Effect.uninterruptible)

  const findOrCreate = (accountId: string, registration: Machine.Registration) =>
    Effect.gen(function* () {
      const known = yield* store.find(registration.id)
      if (Option.isSome(known)) {
        // A write that was not confirmed may have made it, after its id was remembered as one that does not exist.
        if (known.value.accountId === accountId) ownership.learn(PresenceKey.machine(accountId, registration.id))
        return known.value
      }
      return yield* create(Machine.make(accountId, registration, Date.now())).pipe(
        Effect.catchTag("WriteConflict", (conflict) =>
          Effect.gen(function* () {
            yield* AccountCursor.requireAccount(conflict)
            // Somebody else was faster: the winner's row is the answer.
            const winner = yield* store.find(registration.id)
            return Option.isSome(winner) ? winner.value : yield* conflict
          })
        )
      )
    })

  const mismatch = (machine: Machine.Machine, text: Replacement["text"]): Replaced => ({
    _tag: "VersionMismatch",
    version: text === "metadata" ? machine.metadataVersion : machine.daemonStateVersion,
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
        return machine.accountId === accountId ? viewOf(machine) : yield* new MachineIdConflict()
      }),
    list: (accountId) =>
      Effect.map(store.list(accountId), (machines) =>
        machines.map(viewWithSeq).toSorted((a, b) => b.activeAt - a.activeAt)
      ),
    find: (accountId, id) => Effect.map(own(accountId, id), viewWithSeq),
    replace: (replacement) =>
      Effect.gen(function* () {
        const { accountId, id, value, expectedVersion } = replacement
        yield* requireOwned(ownership, PresenceKey.machine(accountId, id))
        const cursor = yield* store.replace(replacement)
        const version = expectedVersion + 1
        announceText(replacement, version, cursor)
        return { _tag: "Replaced", version, value } as const
      }).pipe(
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

/**
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<MachineRegistry, never, MachineStore | Presence | Ownership | Emitter> = Layer.effect(
  MachineRegistry,
  make
)
