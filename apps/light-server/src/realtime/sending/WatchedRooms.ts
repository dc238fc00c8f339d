/**
 * Which apps are connected to which replica. Signs of life are sent only to a replica where somebody watches the
 * account; each replica says which accounts these are.
 */
import { Effect, Schedule, type Scope } from "effect"
import type { ReplicaBus } from "../../replicas/ReplicaBus.ts"
import { setWatched } from "../../replicas/ReplicaMetrics.ts"
import type { Io } from "../Socket.ts"
import * as Room from "./Room.ts"

export interface WatchedRooms {
  /** The other replicas where a socket is in the room. */
  readonly replicasOf: (room: string) => ReadonlySet<string>
}

/** Rooms that are watched from now on, and no longer. `version` counts the changes of the sender. */
interface Change {
  readonly version: number
  readonly on?: ReadonlyArray<string>
  readonly off?: ReadonlyArray<string>
  /** `on` has all rooms of the sender. */
  readonly isAll?: boolean
}

const topic = "watch"

const question = "watch-all"

/** Between two messages that show others whether they have missed a change. */
const interval = "5 seconds"

const nobody: ReadonlySet<string> = new Set()

/** What other replicas watch. */
const makeOthers = () => {
  const rooms = new Map<string, Set<string>>()
  const versions = new Map<string, number>()
  const remove = (name: string, room: string) => {
    const names = rooms.get(room)
    names?.delete(name)
    if (names?.size === 0) rooms.delete(room)
  }
  const removeAll = (name: string) => {
    for (const room of rooms.keys()) remove(name, room)
  }
  return {
    replicasOf: (room: string): ReadonlySet<string> => rooms.get(room) ?? nobody,
    gone: (name: string) => {
      versions.delete(name)
      removeAll(name)
      setWatched(rooms.size)
    },
    /** `false`: an earlier change is missing. */
    apply: (name: string, { isAll = false, off = [], on = [], version }: Change): boolean => {
      const expected = versions.get(name)
      if (isAll) removeAll(name)
      for (const room of on) rooms.set(room, (rooms.get(room) ?? new Set()).add(name))
      for (const room of off) remove(name, room)
      setWatched(rooms.size)
      const isNext = isAll || version === (on.length + off.length === 0 ? expected : (expected ?? Number.NaN) + 1)
      if (isNext) versions.set(name, version)
      return isNext
    }
  }
}

/** Says what is watched here until the scope closes. */
export const make = (io: Io, replicas: ReplicaBus): Effect.Effect<WatchedRooms, never, Scope.Scope> =>
  Effect.gen(function* () {
    if (replicas.isAlone) return { replicasOf: () => nobody }
    const { adapter } = io.of("/")
    const others = makeOthers()
    let version = 0
    const all = (): Change => ({ version, on: [...adapter.rooms.keys()].filter(Room.isOfApps), isAll: true })
    const change = (change: Pick<Change, "on" | "off">) => {
      version += 1
      replicas.send(topic, { ...change, version })
    }
    const onCreate = (room: string) => {
      if (Room.isOfApps(room)) change({ on: [room] })
    }
    const onDelete = (room: string) => {
      if (Room.isOfApps(room)) change({ off: [room] })
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => adapter.on("create-room", onCreate).on("delete-room", onDelete)),
      () => Effect.sync(() => adapter.off("create-room", onCreate).off("delete-room", onDelete))
    )
    yield* replicas.listen(topic, (body, from) => {
      if (!others.apply(from, body as Change)) replicas.send(question, null, from)
    })
    yield* replicas.listen(question, (_, from) => void replicas.send(topic, all(), from))
    yield* replicas.onChange((name, change) => {
      if (change === "gone") others.gone(name)
      else replicas.send(topic, all(), name)
    })
    yield* Effect.sync(() => replicas.others().length > 0 && replicas.send(topic, { version })).pipe(
      Effect.schedule(Schedule.spaced(interval)),
      Effect.forkScoped
    )
    // Replicas that were heard of before this was built.
    for (const name of replicas.others()) {
      replicas.send(topic, all(), name)
      replicas.send(question, null, name)
    }
    return { replicasOf: others.replicasOf }
  })
